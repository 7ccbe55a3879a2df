using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Lays out parameters, gradients and optimizer states: parameters that are reduced, measured and updated alike lie side by side, so
/// that one collective and one kernel serve them all. The regions of gradients and states are laid out like that of the parameters, or hold shards of it.</summary>
internal sealed class ParameterLayout
{
    private readonly LocalGraph _train;
    private readonly Dictionary<Value, LocalTensor> _tensors;
    private readonly ImmutableArray<ShardAxis> _axes;
    private readonly BufferTable _buffers;
    private readonly string[] _states;
    private readonly DType[] _elements;
    private readonly long _unit;
    private readonly int _stage;
    private readonly ZeroRequest? _zero;
    private readonly ShardAxis? _zeroAxis;
    private readonly Dictionary<Value, ParameterPlan> _parameters = new();
    private readonly List<ParameterGroup> _groups = new();
    private long[] _offsets = Array.Empty<long>(); // bytes

    private ParameterLayout(LocalGraph train, BufferTable buffers, string optimizer, string precision, int stage, ZeroRequest? zero)
    {
        _train = train;
        _tensors = train.Parameters.ToDictionary(p => p.Parameter, p => p.Tensor);
        _axes = train.Sharded.Axes;
        _buffers = buffers;
        _states = ModelState.States(optimizer, precision);
        _elements = ModelState.Elements(optimizer, precision);
        _unit = precision == Planner.Single ? 16 : 32;
        _stage = stage;
        _zero = zero;
        _zeroAxis = zero is null ? null : _axes.First(a => a.Name == zero.Axis);
    }

    public ImmutableArray<ParameterPlan> Parameters { get; private set; }

    public IReadOnlyList<ParameterGroup> Groups => _groups;

    /// <summary>For each group the region that completes its gradients; −2 where ranks have nothing to sum.</summary>
    public List<int> Regions { get; } = new();

    /// <summary>Bytes of all regions together.</summary>
    public long Bytes { get; private set; }

    /// <summary>A parameter with what decides on its group.</summary>
    private sealed record Row(Value Parameter, LocalTensor Tensor, Key Key, EquatableArray<string> Reduce, EquatableArray<string> Norm, EquatableArray<int> Tied);

    /// <summary>What parameters of one group have in common.</summary>
    /// <param name="Reduce">Axes of the reduction.</param>
    /// <param name="Norm">Axes that split them.</param>
    /// <param name="NoDecay">Whether weight decay leaves them alone.</param>
    /// <param name="Tied">Path, where several stages hold the parameter.</param>
    /// <param name="Sharded">Whether the ZeRO axis cuts them.</param>
    /// <param name="Stack">Where gradients are summed over ranks or parameters cut: their stack, whose layers have a bucket each; else −2.</param>
    /// <param name="Region">And the region that completes their gradients; else −2.</param>
    /// <param name="Once">From stage 2 on: whether all micro-batches have the same gradient.</param>
    private sealed record Key(string Reduce, string Norm, bool NoDecay, string Tied, bool Sharded, int Stack, int Region, bool Once);

    /// <summary>Lays out the parameters of a stage.</summary>
    /// <param name="train">Its training graph.</param>
    /// <param name="buffers">Takes the buffers.</param>
    /// <param name="optimizer">AdamW, Momentum or Sgd.</param>
    /// <param name="precision">Element types: in bf16 and fp16 the optimizer keeps parameters in fp32 beside its states.</param>
    /// <param name="stage">Number of the stage.</param>
    /// <param name="tied">Stages that hold a parameter, by path, where there are several.</param>
    /// <param name="zero">What is cut into shards; null for nothing.</param>
    public static ParameterLayout Make(LocalGraph train, BufferTable buffers, string optimizer, string precision, int stage, IReadOnlyDictionary<string, EquatableArray<int>> tied, ZeroRequest? zero = null)
    {
        var layout = new ParameterLayout(train, buffers, optimizer, precision, stage, zero);
        layout.Run(tied);
        return layout;
    }

    private void Run(IReadOnlyDictionary<string, EquatableArray<int>> tied)
    {
        List<List<Row>> groups = _train.Gradients.Select(pair => MakeRow(pair.Parameter, pair.Gradient, tied)).GroupBy(r => r.Key)
            .OrderBy(g => g.Key.Reduce, StringComparer.Ordinal).ThenBy(g => g.Key.Norm, StringComparer.Ordinal).ThenBy(g => g.Key.NoDecay).ThenBy(g => g.Key.Tied, StringComparer.Ordinal)
            .ThenBy(g => g.Key.Sharded).ThenBy(g => g.Key.Stack).ThenBy(g => g.Key.Region).ThenBy(g => g.Key.Once).Select(g => g.ToList()).ToList();
        List<ShardPlan?> shards = groups.Select(g => g[0].Key.Sharded ? Shard(g) : null).ToList();

        // Regions one after another: parameters, gradients, each state.
        _offsets = new long[2 + _states.Length];
        for (int region = 1; region < _offsets.Length; region++)
        {
            _offsets[region] = _offsets[region - 1] + groups.Select((g, i) => Held(g, shards[i], region - 1)).Sum() * Width(region - 1);
        }

        for (int i = 0; i < groups.Count; i++)
        {
            Place(groups[i], shards[i]);
        }

        Bytes = _offsets[_offsets.Length - 1];
        Parameters = _train.Sharded.Graph.Parameters.Where(_parameters.ContainsKey).Select(p => _parameters[p]).ToImmutableArray();
    }

    private Row MakeRow(Value parameter, LocalTensor gradient, IReadOnlyDictionary<string, EquatableArray<int>> tied)
    {
        LocalTensor tensor = _tensors[parameter];
        EquatableArray<int> stages = tied.TryGetValue(parameter.Parameter!.Path, out EquatableArray<int> found) ? found : default;
        EquatableArray<string> Axes(Func<int, bool> which) => Enumerable.Range(0, _axes.Length).Where(a => _axes[a].Parts > 1 && !_axes[a].IsMicroBatch && which(a)).Select(a => _axes[a].Name).ToEquatable();
        EquatableArray<string> reduce = Axes(a => gradient.Layout[a].IsPartial && tensor.Layout[a].IsBroadcast);
        bool sharded = _zeroAxis is { Parts: > 1 } && tensor.Layout[_axes.IndexOf(_zeroAxis)].IsBroadcast, buckets = sharded || reduce.Count > 0;
        EquatableArray<string> norm = Axes(a => tensor.Layout[a].IsSplit || (sharded && _axes[a] == _zeroAxis));
        bool once = _axes[0] is { IsMicroBatch: true, Parts: > 1 } && !gradient.Layout[0].IsPartial;
        var key = new Key(
            string.Join(",", reduce), string.Join(",", norm), parameter.Parameter.NoDecay, stages.Count > 0 ? parameter.Parameter.Path : "",
            sharded, buckets ? parameter.Stack : -2, buckets ? gradient.Region : -2, sharded && _zero!.Stage > 1 && once);
        return new Row(parameter, tensor, key, reduce, norm, stages);
    }

    private ShardPlan Shard(List<Row> group)
    {
        // Each shard begins at a cache line.
        ShardAxis axis = _zeroAxis!;
        int buckets = Buckets(group);
        var gaps = new List<(long, long)>();
        long at = 0;
        foreach (Row row in group)
        {
            long count = row.Tensor.Local.Count, stride = Stride(row.Tensor);
            for (int layer = 0; layer < (buckets > 1 ? 1 : Math.Max(1, Layers(row.Parameter))); layer++, at += stride)
            {
                if (stride > count)
                {
                    gaps.Add((at + count, stride - count));
                }
            }
        }

        long length = RoundUp(at, _unit * axis.Parts);
        if (length > at)
        {
            gaps.Add((at, length - at));
        }

        List<string> order = _axes.Select(a => a.Name).ToList();
        bool scatters = group[0].Reduce.Contains(axis.Name);
        EquatableArray<string> before = _zero!.Stage > 1 && scatters ? group[0].Reduce.Where(a => order.IndexOf(a) < order.IndexOf(axis.Name)).ToEquatable() : default;
        return new ShardPlan(axis.Name, axis.Parts, _zero.Stage, buckets, length, scatters, before, group[0].Key.Once, _zero.Stage > 1 ? gaps.ToEquatable() : default, ReshardCost.BytesPerRank(axis, Placement.Split(0), Placement.Broadcast, length * Width(0)));
    }

    private static long RoundUp(long count, long unit) => (count + unit - 1) / unit * unit;

    /// <summary>Elements from one tensor to the next: whole cache lines in every region.</summary>
    private long Stride(LocalTensor tensor) => RoundUp(tensor.Local.Count, _unit);

    private int Width(int region) => BufferPlan.Width(_elements[region]);

    private int Buckets(List<Row> group) => group[0].Key.Stack >= 0 ? Math.Max(1, Layers(group[0].Parameter)) : 1;

    private long Size(Row row) => Stride(row.Tensor) * Math.Max(1, Layers(row.Parameter));

    /// <summary>Whether a region (0 parameters, 1 gradients, then states) holds the shards of a group rather than all of it.</summary>
    private static bool IsCut(ShardPlan shards, int region) => ModelState.IsCut(region, shards.Stage);

    /// <summary>Elements of a group that a region holds.</summary>
    private long Held(List<Row> group, ShardPlan? shards, int region) => shards is null ? group.Sum(Size) : shards.Buckets * (IsCut(shards, region) ? shards.Share : shards.Length);

    private void Place(List<Row> group, ShardPlan? shards)
    {
        Row first = group[0];
        string label = (first.Key.NoDecay ? "not decayed" : "decayed") + (first.Key.Norm.Length > 0 ? ", split over " + first.Key.Norm : "") + (first.Key.Reduce.Length > 0 ? ", reduced over " + first.Key.Reduce : "")
            + (first.Tied.Count > 0 ? ", tied across stages " + string.Join(", ", first.Tied) : "") + (shards is null ? "" : $", in shards over {shards.Axis}");
        int number = _groups.Count, regions = _offsets.Length, buckets = Buckets(group);
        long bucket = shards?.Length ?? group.Sum(r => Stride(r.Tensor));
        MemoryCategory Category(int region) => region switch { 0 => MemoryCategory.Parameters, 1 => MemoryCategory.Gradients, _ => MemoryCategory.OptimizerState };
        string Suffix(int region) => region switch { 0 => "", 1 => "Gradient", _ => char.ToUpperInvariant(_states[region - 2][0]) + _states[region - 2].Substring(1) };

        // Buffers of single tensors, where a region holds all of the group.
        long at = 0;
        var tensors = new List<int[]>();
        var starts = new List<long>();
        foreach (Row row in group)
        {
            int layers = Math.Max(1, Layers(row.Parameter));
            bool perBucket = buckets > 1;
            long stride = perBucket ? bucket : Stride(row.Tensor);
            string name = Name(row.Parameter.Parameter!.Path), comment = Comment(row.Tensor, _axes);
            tensors.Add(Enumerable.Range(0, regions).Select(region => shards is not null && IsCut(shards, region) ? -1
                : _buffers.Add(name + Suffix(region), _elements[region], MemorySpace.State, _offsets[region] + at * Width(region), row.Tensor.Local.Count, stride * Width(region), layers, Category(region), comment)).ToArray());
            starts.Add(at);
            at += perBucket ? Stride(row.Tensor) : Size(row);
        }

        // The group as a whole.
        string[] what = new[] { "Parameters", "Gradients" }.Concat(_states.Select((_, s) => "State" + s)).ToArray();
        OperandPlan[] whole = Enumerable.Range(0, regions).Select(region =>
        {
            long length = Held(group, shards, region) / buckets;
            int id = _buffers.Add($"group{number}{what[region]}", _elements[region], MemorySpace.State, _offsets[region], length, length * Width(region), buckets, Category(region), label);
            return buckets > 1 ? new OperandPlan(id, SlotIndex.Layer, null, length, buckets) : _buffers.Whole(id);
        }).ToArray();

        OperandPlan Own(int region) => shards is null || IsCut(shards, region) ? whole[region] : whole[region] with { Start = new Offset(0, EquatableArray.Of((shards.Axis, shards.Share))), Length = shards.Share };
        _groups.Add(new ParameterGroup(
            label, whole[0], Own(0), Own(1), whole.Skip(2).ToEquatable(), Reductions(first, shards, whole[1], Own(1)), first.Norm, first.Key.NoDecay, first.Key.Tied, first.Tied.Count > 0 && first.Tied[0] != _stage,
            group.Sum(r => r.Tensor.Local.Count * Math.Max(1, Layers(r.Parameter))), shards)
        {
            Buckets = buckets,
            StartsInBackward = first.Key.Region >= 0 && _train.Regions[first.Key.Region].Phase != Phase.InputGradient && first.Reduce.Any(a => !IsSummedBefore(shards, a)),
        });
        Regions.Add(first.Key.Region);
        for (int i = 0; i < group.Count; i++)
        {
            Row row = group[i];
            int Buffer(int region) => tensors[i][region] < 0 ? whole[region].Buffer : tensors[i][region];
            var placements = Enumerable.Range(0, _axes.Length).Where(a => !_axes[a].IsMicroBatch).Select(a => (_axes[a].Name, row.Tensor.Layout[a])).ToEquatable();
            _parameters[row.Parameter] = new ParameterPlan(
                row.Parameter.Parameter!.Path, Layers(row.Parameter), Buffer(0), Buffer(1), _states.Select((state, s) => new StatePlan(state, Buffer(2 + s))).ToEquatable(), row.Parameter.Type.Dims, row.Tensor.Local.Dims,
                row.Tensor.Start.ToEquatable(), row.Parameter.Parameter.Init, row.Key.NoDecay, placements, row.Parameter.Stack, number, starts[i], buckets > 1 ? 0 : Stride(row.Tensor));
        }

        for (int region = 0; region < regions; region++)
        {
            _offsets[region] += Held(group, shards, region) * Width(region);
        }
    }

    /// <summary>Whether gradients are summed over an axis in backward already.</summary>
    private static bool IsSummedBefore(ShardPlan? shards, string axis) => shards is { Stage: > 1 } && (shards.Before.Contains(axis) || axis == shards.Axis);

    /// <summary>Sums over ranks that are made once per step, in the order of the mesh: from stage 2 on the ZeRO axis, and those before it, are summed in backward.</summary>
    private EquatableArray<ReductionPlan> Reductions(Row row, ShardPlan? shards, OperandPlan whole, OperandPlan own)
    {
        var result = new List<ReductionPlan>();
        bool scattered = shards is null or { Scatters: false } or { Stage: > 1 };
        foreach (ShardAxis axis in _axes.Where(a => row.Reduce.Contains(a.Name)))
        {
            if (IsSummedBefore(shards, axis.Name))
            {
                continue;
            }

            bool here = shards is not null && axis.Name == shards.Axis;
            OperandPlan operand = scattered ? own : whole;
            long bytes = Width(1) * operand.Length;
            result.Add(here
                ? new ReductionPlan(CollectiveKind.ReduceScatter, axis.Name, whole, own, ReshardCost.BytesPerRank(axis, Placement.Partial, Placement.Split(0), bytes))
                : new ReductionPlan(CollectiveKind.AllReduce, axis.Name, operand, null, ReshardCost.BytesPerRank(axis, Placement.Partial, Placement.Broadcast, bytes)));
            scattered |= here;
        }

        return result.ToEquatable();
    }

    public static string Comment(LocalTensor tensor, ImmutableArray<ShardAxis> axes)
    {
        var parts = tensor.Layout.Select((p, a) => (p, axes[a])).Where(x => x.Item2.Parts > 1 && !x.Item2.IsMicroBatch).Select(x => $"{x.Item2.Name}: {x.p}");
        return tensor.Local.ShapeText + string.Concat(parts.Select(p => ", " + p));
    }

    private int Layers(Value parameter) => parameter.Stack < 0 ? 0 : _train.Layers[parameter.Stack];

    private static string Name(string path) => string.Concat(path.Split('.').Where(p => p != "{0}").Select((p, i) => i == 0 ? p : char.ToUpperInvariant(p[0]) + p.Substring(1)));
}
