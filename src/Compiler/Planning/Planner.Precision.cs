using Shardwright.Compiler.Graph;

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

    private bool IsHalf => _on.Precision != Single;

    /// <summary>Why the precision that is asked for cannot be; null where it can.</summary>
    private string? PrecisionFault() => _on.Precision is not (Single or Half or HalfWithWideGradients) ? $"Precision = {_on.Precision} is none: use {Single}, {Half} or {HalfWithWideGradients}"
        : IsHalf && !(_on.Mesh.Device.Bf16TFlops > 0) ? $"Precision = {_on.Precision} of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}': its device '{_on.Mesh.Device.Name}' does not compute in bf16 (its Bf16TFlops is 0); use Precision.Float32, or a device with a bf16 peak, such as Devices.H100"
        : null;

    /// <summary>In bf16 every tensor is, but for what must not lose digits: numbers without dims, such as sums of losses (parameters among them are narrow like all others), and statistics that an op leaves
    /// for its gradient beside its result.</summary>
    private void Narrow(ModelGraph graph)
    {
        foreach (Value value in IsHalf ? graph.Values : Enumerable.Empty<Value>())
        {
            if (value.Type.Element == DType.Float32 && (value.Type.Rank > 0 || value.Kind == ValueKind.Parameter) && value.Producer?.Op.IsStatistic(value.ProducerOutput) != true)
            {
                value.Type = value.Type with { Element = DType.BFloat16 };
            }
        }
    }
}
