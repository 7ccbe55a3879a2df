using System.CommandLine;
using Shardwright.Cli.Assemblies;
using Shardwright.Cli.Plans;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Commands;

/// <summary><c>show PATH.dll --model M --mesh N</c>: placements of every tensor of a training step, as a table.</summary>
internal static class ShowCommand
{
    private static readonly TargetOptions s_target = new();
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create() =>
        s_target.AddTo(new Command("show", "Where every tensor of a compiled model lies: parameters, inputs, values of forward and backward.") { s_json }).Runs(Run);

    private static int Run(CommandContext context)
    {
        (AssemblySet set, IReadOnlyList<PlanTarget> targets, Overrides overrides) = s_target.Read(context);
        if (targets.Count > 1)
        {
            throw CliException.Usage($"show answers for one model on one mesh, and there are {string.Join(", ", targets.Select(t => $"{t.Model.Layer.ShortName} {t.On.NestedName}"))}: choose with --model and --mesh");
        }

        PlanTarget target = overrides.Apply(targets[0], set);
        ImmutableArray<PlacedTensor> tensors = PlanRunner.Placements(target, overrides, context.Cancellation);
        if (context.Get(s_json))
        {
            Json.WriteRows(context.Output, $"\"model\":{Json.Text(target.Model.Layer.ShortName)},\"mesh\":{Json.Text(target.On.Mesh.ShortName)},\"tensors\":", tensors.Select(t => new
            {
                t.Name, t.Kind, t.Layer, t.Op, t.Layers, Element = Element(t), Logical = t.Logical.Dims.ToArray(), Local = t.Local.ToArray(), Made = Axes(t.Made), Placement = Axes(t.Kept),
            }));
            return ExitCodes.Success;
        }

        string[][] rows = [.. tensors.Select(Row).Prepend(["tensor", "kind", "layer", "op", "shape", "on a rank", "placement"])];
        int[] widths = [.. Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(r => r[column].Length))];
        foreach (string[] row in rows)
        {
            context.Output.WriteLine(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
        }

        return ExitCodes.Success;
    }

    /// <summary>A placement that readers get, and before an arrow the one that the op leaves where they differ.</summary>
    private static string[] Row(PlacedTensor t) =>
    [
        t.Name, t.Kind, t.Layer, t.Op, (t.Layers > 0 ? $"{t.Layers} × " : "") + t.Logical, "[" + string.Join(", ", t.Local) + "]",
        t.Kept.Count == 0 ? "whole" : string.Join(", ", t.Kept.Select((kept, axis) => $"{kept.Axis}: {(t.Made[axis].Placement == kept.Placement ? "" : t.Made[axis].Placement + " -> ")}{kept.Placement}")),
    ];

    private static string Element(PlacedTensor t) => t.Logical.ToString()[..t.Logical.ToString().IndexOf('[', StringComparison.Ordinal)];

    private static Dictionary<string, string> Axes(EquatableArray<(string Axis, Placement Placement)> placements) => placements.ToDictionary(p => p.Axis, p => p.Placement.ToString());
}
