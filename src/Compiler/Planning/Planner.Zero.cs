using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What is cut into shards over the ranks of an axis.</summary>
public sealed partial class Planner
{
    private static readonly string[] s_zeroStages = { "None", "OptimizerState", "Gradients", "Parameters" };

    /// <summary>Reads what the model asks for; false where a finding says why it cannot be.</summary>
    private bool ReadZero(ShardedGraph sharded)
    {
        int stage = Array.IndexOf(s_zeroStages, _on.Zero);
        string name = _model.Layer.ShortName, mesh = _on.Mesh.ShortName;
        if (stage < 0)
        {
            return Refuse("SW2003", $"Zero = {_on.Zero} is no stage: use {string.Join(", ", s_zeroStages)}");
        }

        if (stage == 0)
        {
            return _on.ZeroAxis.Length == 0 || Refuse("SW2003", $"ZeroAxis = \"{_on.ZeroAxis}\" of '{name}' on '{mesh}' cuts nothing: say what with Zero = ZeroStage.OptimizerState (or Gradients, Parameters), or leave the axis out");
        }

        List<string> data = sharded.Axes.Where(a => a.IsData).Select(a => a.Name).ToList();
        string axes = string.Join(", ", _on.Mesh.Axes.Select(a => $"'{a.Name}'"));
        if (_on.ZeroAxis.Length == 0 && data.Count != 1)
        {
            string which = data.Count > 1 ? $"{data.Count} of its axes ({string.Join(", ", data.Select(a => $"'{a}'"))}) split the batch: add ZeroAxis = \"{data[0]}\""
                : (axes.Length == 0 ? "the mesh has none" : $"none of its axes ({axes}) splits the batch") + ": give the mesh an axis of the role Data, or leave Zero out";
            return Refuse("SW1001", $"Zero = {_on.Zero} of '{name}' on '{mesh}' names no axis, and {which}");
        }

        string axis = _on.ZeroAxis.Length > 0 ? _on.ZeroAxis : data[0];
        if (_on.Mesh.Axes.FirstOrDefault(a => a.Name == axis) is not { } definition)
        {
            return Refuse("SW1001", $"'{mesh}' has no axis '{axis}', which ZeroAxis of '{name}' names: it has {(axes.Length == 0 ? "none" : axes)}");
        }

        string instead = data.Count > 0 ? $"use ZeroAxis = \"{data[0]}\"" : "leave Zero out";
        if (definition.Role == "Pipeline")
        {
            return Refuse("SW1004", $"ZeroAxis = \"{axis}\" of '{name}' on '{mesh}': ranks along a pipeline axis hold different stages, and ZeRO shares out what ranks hold alike; {instead}");
        }

        int position = sharded.Axes.Select((a, i) => (a, i)).First(a => a.a.Name == axis).i;
        long Elements(Func<Value, bool> which) => sharded.Graph.Parameters.Where(which).Sum(p => p.Type.Count * Math.Max(1, p.Stack < 0 ? 1 : sharded.Graph.Stacks[p.Stack].Layers));
        long all = Elements(_ => true), alike = Elements(p => sharded.Layout(p)[position].IsBroadcast);
        if (definition.Role == "Tensor" || 2 * alike <= all)
        {
            return Refuse("SW1004", $"ZeroAxis = \"{axis}\" of '{name}' on '{mesh}': the axis splits {all - alike} of {all} parameters already, and ZeRO shares out what ranks hold alike; {instead}");
        }

        _zero = definition.Size > 1 ? new ZeroRequest(axis, stage) : null;
        return true;
    }

    private bool Refuse(string id, string message)
    {
        _findings.Add(Finding.At(id, Site, message));
        return false;
    }
}
