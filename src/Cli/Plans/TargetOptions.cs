using System.CommandLine;
using Shardwright.Cli.Assemblies;

namespace Shardwright.Cli.Plans;

/// <summary>PATH.dll --model M --mesh N --set … --axis … --device D --micro-batches M: what every command takes that plans a compiled model.</summary>
internal sealed class TargetOptions
{
    private readonly Argument<string> _path = new("PATH") { Description = "A compiled assembly with a model." };
    private readonly Option<string> _model = new("--model") { HelpName = "M", Description = "The model; all models of the assembly where none is named." };
    private readonly Option<string> _mesh = new("--mesh") { HelpName = "N", Description = "The mesh, or the nested class (OnLab); all meshes where none is named." };
    private readonly Option<string[]> _set = CommonOptions.Pairs("--set", "Name=Value", "Other values for constants of the model and its layers.");
    private readonly Option<string[]> _axis = CommonOptions.Pairs("--axis", "name=size", "Other sizes for axes of the mesh.");
    private readonly Option<string> _device = new("--device") { HelpName = "D", Description = "Another device: a class with [DeviceSpec], such as H100." };
    private readonly Option<string> _zero = new("--zero") { HelpName = "S", Description = "What is cut into shards: None, OptimizerState, Gradients or Parameters; with an axis behind a colon where there are several: Gradients:dp." };
    private readonly Option<string> _precision = new("--precision") { HelpName = "P", Description = "Element types: Float32, BFloat16Mixed, BFloat16MixedFloat32Gradients or Float16Mixed." };
    private readonly Option<string> _microBatches = new("--micro-batches") { HelpName = "M", Description = "Another number of micro-batches." };

    private readonly Option<string[]> _link = CommonOptions.Pairs("--link", "[axis=]rate,latency", "Other links, as 10Gbps,50us for all axes or tp=450GB/s,3us for one.");
    private readonly Option<string> _recompute = new("--recompute") { HelpName = "R", Description = "None, Selective, Full or Auto: what backward computes again." };

    /// <summary>Adds them to a command.</summary>
    public Command AddTo(Command command)
    {
        command.Arguments.Add(_path);
        foreach (Option option in new Option[] { _model, _mesh, _set, _axis, _device, _microBatches, _recompute, _zero, _precision, _link })
        {
            command.Options.Add(option);
        }

        return command;
    }

    /// <summary>What they mean; the overrides are not yet in place.</summary>
    public (AssemblySet Set, IReadOnlyList<PlanTarget> Targets, Overrides Overrides) Read(CommandContext context)
    {
        var overrides = new Overrides(
            CommonOptions.Split("--set", context.Get(_set)), CommonOptions.Split("--axis", context.Get(_axis)), context.Get(_device), context.Get(_microBatches), context.Get(_recompute), context.Get(_zero), context.Get(_precision), context.Get(_link));
        AssemblySet set = AssemblySet.Open(context.Get(_path)!);
        return (set, PlanTarget.Find(set, context.Get(_model), context.Get(_mesh), [.. overrides.Axes.Select(a => a.Key)]), overrides);
    }
}
