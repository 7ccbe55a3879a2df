using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Machine;

namespace Shardwright.Compiler.Planning;

/// <summary>Element types of a step.</summary>
public sealed partial class Planner
{
    /// <summary>fp32 throughout.</summary>
    internal const string Single = "Float32";

    /// <summary>bf16; the optimizer keeps parameters in fp32.</summary>
    internal const string Half = "BFloat16Mixed";

    /// <summary>The same, with gradients summed in fp32.</summary>
    internal const string HalfWithWideGradients = "BFloat16MixedFloat32Gradients";

    /// <summary>fp16; the optimizer keeps parameters in fp32, and the loss is scaled.</summary>
    internal const string Scaled = "Float16Mixed";

    private static readonly string[] s_precisions = { Single, Half, HalfWithWideGradients, Scaled };

    /// <summary>Element type of what a precision stores.</summary>
    internal static DType ElementOf(string precision) => precision switch { Single => DType.Float32, Scaled => DType.Float16, _ => DType.BFloat16 };

    /// <summary>What the factors of products of a precision are.</summary>
    internal static Arithmetic ArithmeticOf(string precision) => ElementOf(precision) switch { DType.Float16 => Arithmetic.Float16, DType.BFloat16 => Arithmetic.BFloat16, _ => Arithmetic.Float32 };

    private Arithmetic Arithmetic => ArithmeticOf(_on.Precision);

    private double PeakOfPrecision => Arithmetic == Arithmetic.Float16 ? _on.Mesh.Device.Fp16TFlops : _on.Mesh.Device.Bf16TFlops;

    /// <summary>Why the precision that is asked for cannot be; null where it can.</summary>
    private string? PrecisionFault()
    {
        if (!s_precisions.Contains(_on.Precision))
        {
            return $"Precision = {_on.Precision} is none: use {string.Join(", ", s_precisions.Take(s_precisions.Length - 1))} or {s_precisions[s_precisions.Length - 1]}";
        }

        if (Arithmetic == Arithmetic.Float32 || PeakOfPrecision > 0)
        {
            return null;
        }

        (string name, string property, string other, string another) = Arithmetic == Arithmetic.Float16 ? ("fp16", "Fp16TFlops", "bf16", Half) : ("bf16", "Bf16TFlops", "fp16", Scaled);
        bool hasOther = (Arithmetic == Arithmetic.Float16 ? _on.Mesh.Device.Bf16TFlops : _on.Mesh.Device.Fp16TFlops) > 0;
        return $"Precision = {_on.Precision} of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}': its device '{_on.Mesh.Device.Name}' does not compute in {name} (its {property} is 0); use Precision.Float32, {(hasOther ? $"Precision.{another} (it computes in {other}), " : "")}or a device with {(Arithmetic == Arithmetic.Float16 ? "an" : "a")} {name} peak, such as Devices.H100";
    }

    /// <summary>In bf16 every tensor is, and in fp16, but for what must not lose digits: numbers without dims, such as sums of losses (parameters among them are narrow like all others), and statistics that an op leaves
    /// for its gradient beside its result.</summary>
    private void Narrow(ModelGraph graph)
    {
        foreach (Value value in Arithmetic == Arithmetic.Float32 ? Enumerable.Empty<Value>() : graph.Values)
        {
            if (value.Type.Element == DType.Float32 && (value.Type.Rank > 0 || value.Kind == ValueKind.Parameter) && value.Producer?.Op.IsStatistic(value.ProducerOutput) != true)
            {
                value.Type = value.Type with { Element = ElementOf(_on.Precision) };
            }
        }
    }
}
