using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Lays out parameters, gradients and optimizer states: parameters that are reduced, measured and updated alike lie side by side, so
/// that one collective and one kernel serve them all. The regions of gradients and states are laid out like that of the parameters.</summary>
internal sealed class ParameterLayout
{
    private ParameterLayout(ImmutableArray<ParameterPlan> parameters, ImmutableArray<ParameterGroup> groups, long bytes)
    {
        Parameters = parameters;
        Groups = groups;
        Bytes = bytes;
    }

    public ImmutableArray<ParameterPlan> Parameters { get; }

    public ImmutableArray<ParameterGroup> Groups { get; }

    /// <summary>Bytes of all regions together.</summary>
    public long Bytes { get; }

    /// <summary>Lays out the parameters of a stage.</summary>
    /// <param name="train">Its training graph.</param>
    /// <param name="buffers">Takes the buffers.</param>
    /// <param name="optimizer">AdamW, Momentum or Sgd.</param>
    /// <param name="stage">Number of the stage.</param>
    /// <param name="tied">Stages that hold a parameter, by path, where there are several.</param>
    public static ParameterLayout Make(LocalGraph train, BufferTable buffers, string optimizer, int stage, IReadOnlyDictionary<string, EquatableArray<int>> tied)
    {
        ImmutableArray<ShardAxis> axes = train.Sharded.Axes;
        string[] stateNames = optimizer switch { "AdamW" => new[] { "firstMoment", "secondMoment" }, "Momentum" => new[] { "velocity" }, _ => Array.Empty<string>() };
        int states = stateNames.Length;
        var tensors = train.Parameters.ToDictionary(p => p.Parameter, p => p.Tensor);
        var rows = train.Gradients.Select(pair =>
        {
            LocalTensor tensor = tensors[pair.Parameter];
            EquatableArray<int> stages = tied.TryGetValue(pair.Parameter.Parameter!.Path, out EquatableArray<int> found) ? found : default;
            var reduce = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && !axes[a].IsMicroBatch && pair.Gradient.Layout[a].IsPartial && tensor.Layout[a].IsBroadcast).Select(a => axes[a].Name).ToEquatable();
            var norm = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && tensor.Layout[a].IsSplit).Select(a => axes[a].Name).ToEquatable();
            return (pair.Parameter, Tensor: tensor, Reduce: reduce, Norm: norm, NoDecay: pair.Parameter.Parameter!.NoDecay, Tied: stages);
        }).GroupBy(r => (string.Join(",", r.Reduce), string.Join(",", r.Norm), r.NoDecay, r.Tied.Count > 0 ? r.Parameter.Parameter!.Path : "")).OrderBy(g => g.Key.Item1, StringComparer.Ordinal).ThenBy(g => g.Key.Item2, StringComparer.Ordinal).ThenBy(g => g.Key.NoDecay).ThenBy(g => g.Key.Item4, StringComparer.Ordinal).ToList();

        long SizeOf(Value parameter, LocalTensor tensor) => ArenaLayout.Align(tensor.Local.Bytes) * Math.Max(1, Layers(train, parameter));
        long region = rows.Sum(g => g.Sum(r => SizeOf(r.Parameter, r.Tensor)));
        var parameters = new Dictionary<Value, ParameterPlan>();
        var groups = ImmutableArray.CreateBuilder<ParameterGroup>();
        long offset = 0;
        foreach (var group in rows)
        {
            long start = offset;
            foreach (var row in group)
            {
                int layers = Layers(train, row.Parameter);
                string path = row.Parameter.Parameter!.Path, name = Name(path);
                long stride = ArenaLayout.Align(row.Tensor.Local.Bytes);
                string comment = Comment(row.Tensor, axes);
                int value = buffers.Add(name, DType.Float32, MemorySpace.State, offset, row.Tensor.Local.Count, stride, Math.Max(1, layers), MemoryCategory.Parameters, comment);
                int gradient = buffers.Add(name + "Gradient", DType.Float32, MemorySpace.State, region + offset, row.Tensor.Local.Count, stride, Math.Max(1, layers), MemoryCategory.Gradients, comment);
                var kept = stateNames.Select((state, s) => new StatePlan(state, buffers.Add(name + char.ToUpperInvariant(state[0]) + state.Substring(1), DType.Float32, MemorySpace.State, region * (2 + s) + offset, row.Tensor.Local.Count, stride, Math.Max(1, layers), MemoryCategory.OptimizerState, comment))).ToEquatable();
                var placements = Enumerable.Range(0, axes.Length).Where(a => !axes[a].IsMicroBatch).Select(a => (axes[a].Name, row.Tensor.Layout[a])).ToEquatable();
                parameters[row.Parameter] = new ParameterPlan(path, layers, value, gradient, kept, row.Parameter.Type.Dims, row.Tensor.Local.Dims, row.Tensor.Start.ToEquatable(), row.Parameter.Parameter.Init, row.NoDecay, placements, row.Parameter.Stack);
                offset += SizeOf(row.Parameter, row.Tensor);
            }

            long length = (offset - start) / 4;
            string label = (group.Key.NoDecay ? "not decayed" : "decayed") + (group.Key.Item2.Length > 0 ? ", split over " + group.Key.Item2 : "") + (group.Key.Item1.Length > 0 ? ", reduced over " + group.Key.Item1 : "") + (group.Key.Item4.Length > 0 ? ", tied across stages " + string.Join(", ", group.First().Tied) : "");
            int n = groups.Count;
            OperandPlan Piece(string what, long at, MemoryCategory category) => buffers.Whole(buffers.Add($"group{n}{what}", DType.Float32, MemorySpace.State, at + start, length, length * 4, 1, category, label));
            long sent = group.First().Reduce.Select(name => axes.First(a => a.Name == name)).Sum(a => ReshardCost.BytesPerRank(a, Placement.Partial, Placement.Broadcast, length * 4));
            groups.Add(new ParameterGroup(
                label, Piece("Parameters", 0, MemoryCategory.Parameters), Piece("Gradients", region, MemoryCategory.Gradients),
                Enumerable.Range(0, states).Select(s => Piece("State" + s, region * (2 + s), MemoryCategory.OptimizerState)).ToEquatable(),
                group.First().Reduce, group.First().Norm, group.Key.NoDecay, sent, group.Key.Item4, group.First().Tied.Count > 0 && group.First().Tied[0] != stage));
        }

        ImmutableArray<ParameterPlan> ordered = train.Sharded.Graph.Parameters.Where(parameters.ContainsKey).Select(p => parameters[p]).ToImmutableArray();
        return new ParameterLayout(ordered, groups.ToImmutable(), region * (2 + states));
    }

    public static string Comment(LocalTensor tensor, ImmutableArray<ShardAxis> axes)
    {
        var parts = tensor.Layout.Select((p, a) => (p, axes[a])).Where(x => x.Item2.Parts > 1 && !x.Item2.IsMicroBatch).Select(x => $"{x.Item2.Name}: {x.p}");
        return tensor.Local.ShapeText + string.Concat(parts.Select(p => ", " + p));
    }

    private static int Layers(LocalGraph graph, Value parameter) => parameter.Stack < 0 ? 0 : graph.Layers[parameter.Stack];

    private static string Name(string path) => string.Concat(path.Split('.').Where(p => p != "{0}").Select((p, i) => i == 0 ? p : char.ToUpperInvariant(p[0]) + p.Substring(1)));
}
