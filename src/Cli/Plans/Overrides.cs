using System.Globalization;
using Shardwright.Cli.Assemblies;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Cli.Plans;

/// <summary>Other dims, sizes, device and micro-batches for a plan.</summary>
/// <param name="Constants">--set: constants of the model and its layers.</param>
/// <param name="Axes">--axis: sizes of axes.</param>
/// <param name="Device">--device.</param>
/// <param name="MicroBatches">--micro-batches.</param>
/// <param name="Recompute">--recompute.</param>
/// <param name="Zero">--zero.</param>
/// <param name="Precision">--precision.</param>
/// <param name="Links">--link: links of all axes, or of one.</param>
internal sealed record Overrides(
    IReadOnlyList<KeyValuePair<string, string>> Constants,
    IReadOnlyList<KeyValuePair<string, string>> Axes,
    string? Device,
    string? MicroBatches,
    string? Recompute = null,
    string? Zero = null,
    string? Precision = null,
    IReadOnlyList<string>? Links = null)
{
    private static readonly string[] s_recompute = ["None", "Selective", "Full", "Auto"], s_zero = ["None", "OptimizerState", "Gradients", "Parameters"], s_precision = ["Float32", "BFloat16Mixed", "BFloat16MixedFloat32Gradients", "Float16Mixed"];

    /// <summary>As it is written on a command line, for messages; empty for none.</summary>
    public override string ToString() => string.Join(", ", Constants.Select(c => $"{c.Key} = {c.Value}").Concat(Axes.Select(a => $"axis {a.Key} = {a.Value}"))
        .Concat(Device is null ? [] : [$"device {Device}"]).Concat(MicroBatches is null ? [] : [$"{MicroBatches} micro-batches"])
        .Concat(new[] { (Name: "recompute", Value: Recompute), (Name: "zero", Value: Zero), (Name: "precision", Value: Precision) }.Where(o => o.Value is not null).Select(o => $"{o.Name} {o.Value}")).Concat((Links ?? []).Select(l => $"link {l}")));

    /// <summary>The same model on the same mesh with these in place.</summary>
    public PlanTarget Apply(PlanTarget target, AssemblySet set)
    {
        IReadOnlyDictionary<string, Expression> values = Values(target);
        MeshDefinition mesh = target.On.Mesh with { Axes = LinkOptions.With(target.On.Mesh.ShortName, Sizes(target), Links ?? []), Device = Device is null ? target.On.Mesh.Device : DeviceSpecs.Find(Device, set) };
        return new PlanTarget(
            target.Model with { Layer = ConstantTable.With(target.Model.Layer, values) },
            target.On with
            {
                Mesh = mesh,
                MicroBatches = MicroBatches is null ? target.On.MicroBatches : new Expression.Integer(Whole("--micro-batches ", MicroBatches), -1),
                Recompute = Member("--recompute", Recompute, s_recompute) ?? target.On.Recompute,
                Zero = Member("--zero", Zero?.Split(':')[0], s_zero) ?? target.On.Zero,
                ZeroAxis = Zero is null ? target.On.ZeroAxis : string.Join(':', Zero.Split(':').Skip(1)),
                Precision = Member("--precision", Precision, s_precision) ?? target.On.Precision,
            },
            values.Count == 0 ? target.Layers : target.Layers.ToDictionary(l => l.Key, l => ConstantTable.With(l.Value, values), StringComparer.Ordinal));
    }

    private Dictionary<string, Expression> Values(PlanTarget target)
    {
        var values = new Dictionary<string, Expression>();
        if (Constants.Count == 0)
        {
            return values;
        }

        ConstantTable table = ConstantTable.Of(target.Model.Layer, target.Layers.Values);
        foreach ((string name, string text) in Constants)
        {
            ImmutableArray<NamedConstant> found = table.Find(name);
            NamedConstant constant = found.Length switch
            {
                0 => throw CliException.Usage($"--set {name}: the plan of {target.Shown} depends on no constant of that name: {Suggestions.For(name, table.Constants.Where(c => c.IsFree).Select(c => table.Shown(c.FullName)), "constants")}"),
                1 => found[0],
                _ => throw CliException.Usage($"--set {name} may be {string.Join(" or ", found.Select(c => c.FullName))}: write the full name"),
            };
            if (!constant.IsFree)
            {
                throw CliException.Usage($"--set {name}: the graph of {string.Join(" and ", constant.FixedIn.Select(t => $"'{t}'"))} holds only its value ({constant.Number.ToString(CultureInfo.InvariantCulture)}), which became fixed when it was compiled; free constants are {Free(table)}");
            }

            values[constant.FullName] = Value(name, text, constant);
        }

        return values;
    }

    private static string Free(ConstantTable table) => string.Join(", ", table.Constants.Where(c => c.IsFree).Select(c => table.Shown(c.FullName)).DefaultIfEmpty("none"));

    private static Expression Value(string name, string text, NamedConstant constant) =>
        constant.IsBoolean ? bool.TryParse(text, out bool flag)
            ? new Expression.Boolean(flag, -1)
            : throw CliException.Usage($"--set {name}={text}: it is true or false")
        : constant.IsInteger ? long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole)
            ? new Expression.Integer(whole, -1)
            : throw CliException.Usage($"--set {name}={text}: it is a whole number, from {long.MinValue} to {long.MaxValue}")
        : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)
            ? new Expression.Number(number, -1)
            : throw CliException.Usage($"--set {name}={text}: it is a finite number, such as {constant.Number.ToString(CultureInfo.InvariantCulture)}");

    private EquatableArray<MeshAxisDefinition> Sizes(PlanTarget target)
    {
        MeshDefinition mesh = target.On.Mesh;
        foreach ((string name, _) in Axes.Where(a => mesh.Axes.All(m => m.Name != a.Key)))
        {
            throw CliException.Usage($"--axis {name}: mesh '{mesh.ShortName}' has no such axis: {Suggestions.For(name, mesh.Axes.Select(a => a.Name), "its axes")}");
        }

        EquatableArray<MeshAxisDefinition> axes = mesh.Axes.Select(axis => Axes.Where(a => a.Key == axis.Name).Select(a => axis with { Size = (int)Whole($"--axis {a.Key}=", a.Value) }).FirstOrDefault() ?? axis).ToEquatable();
        double ranks = axes.Aggregate(1.0, (product, axis) => product * axis.Size);
        const int MostRanks = 1 << 24;
        return ranks <= MostRanks ? axes : throw CliException.Usage($"--axis: these sizes make {ranks:0} ranks, and a mesh has at most {MostRanks}");
    }

    private static string? Member(string option, string? value, string[] members) =>
        value is null ? null : members.FirstOrDefault(m => string.Equals(m, value, StringComparison.OrdinalIgnoreCase)) ?? throw CliException.Usage($"{option} {value}: it is one of {string.Join(", ", members)}");

    private static long Whole(string option, string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number is >= 1 and <= int.MaxValue
            ? number
            : throw CliException.Usage($"{option}{text}: it is a whole number from 1 to {int.MaxValue}");
}
