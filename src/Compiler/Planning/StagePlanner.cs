using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Makes the program of each stage: its part of every entry, its parameters, its memory by space. Equal stages get one program.</summary>
internal sealed class StagePlanner
{
    private readonly IReadOnlyList<TracedEntry> _entries;
    private readonly string _optimizer;
    private readonly string _precision;
    private readonly ZeroRequest? _zero;
    private readonly bool _pipelined;
    private readonly bool _split;
    private readonly MeshDefinition _mesh;
    private readonly Arithmetic _arithmetic;
    private readonly CancellationToken _cancellation;
    private readonly List<StageProgram> _programs = new();
    private readonly Dictionary<(int Before, EquatableArray<int> Layers), int> _inner = new();

    public StagePlanner(IReadOnlyList<TracedEntry> entries, string optimizer, string precision, ZeroRequest? zero, bool pipelined, bool split, MeshDefinition mesh, Arithmetic arithmetic, CancellationToken cancellation)
    {
        _entries = entries;
        _optimizer = optimizer;
        _precision = precision;
        _zero = zero;
        _pipelined = pipelined;
        _split = split;
        _mesh = mesh;
        _arithmetic = arithmetic;
        _cancellation = cancellation;
        Tied = FindTied(entries[0]);
    }

    /// <summary>Kernels of all stages.</summary>
    public KernelBuilder Kernels { get; } = new();

    /// <summary>Distinct programs.</summary>
    public IReadOnlyList<StageProgram> Programs => _programs;

    /// <summary>Stages that hold a parameter, by path, where there are several.</summary>
    public IReadOnlyDictionary<string, EquatableArray<int>> Tied { get; }

    /// <summary>Values that could not be routed; empty where all went well.</summary>
    public List<Unroutable> Unroutable { get; } = new();

    /// <summary>Plans a stage, after those before it; returns the position of its program.</summary>
    public int Plan(int stage)
    {
        if (Inner(stage) is not { } alike)
        {
            return Make(stage);
        }

        if (!_inner.TryGetValue(alike, out int program))
        {
            _inner[alike] = program = Make(stage);
        }

        return program;
    }

    /// <summary>For a stage that runs nothing but layers in the middle of stacks: what tells it from others of this kind. Between two of them with no other kind in between, all that passes is the same.</summary>
    private (int Before, EquatableArray<int> Layers)? Inner(int stage)
    {
        var others = new HashSet<int>(_entries.SelectMany(e => e.Graph.Regions.Where(r => r.Stack is null).SelectMany(r => r.Nodes).Select(e.Map.StageOf)
            .Concat(e.Graph.Stacks.SelectMany(s => new[] { e.Map.First(s.Id), e.Map.Last(s.Id) }))));
        return others.Contains(stage) ? null : (others.Count(s => s < stage), _entries[0].Graph.Stacks.Select(s => _entries[0].Map.Layers(s.Id, stage)).ToEquatable());
    }

    private int Make(int stage)
    {
        var buffers = new BufferTable();
        LocalGraph train = Slice(_entries[0], stage);
        if (Unroutable.Count > 0)
        {
            return -1;
        }

        ParameterLayout parameters = ParameterLayout.Make(train, buffers, _optimizer, _precision, stage, Tied, _zero);
        var entries = new List<EntryPlan>();
        var blocks = new List<(string, MemorySpace, long)>();
        var steps = new List<(string, Phase, long)>();
        var profile = new List<ProfilePoint>();
        long step = 0, bound = 0;
        foreach (TracedEntry entry in _entries)
        {
            LocalGraph local = ReferenceEquals(entry, _entries[0]) ? train : Slice(entry, stage);
            if (Unroutable.Count > 0)
            {
                return -1;
            }

            var builder = new EntryBuilder(entry.Name, local, Kernels, buffers, parameters, entry.MicroBatches, _mesh, _arithmetic, _cancellation);
            entries.Add(builder.Build());
            step = Math.Max(step, builder.Bytes);
            bound = Math.Max(bound, builder.LowerBound);
            profile.AddRange(builder.Profile);
            blocks.AddRange(builder.Blocks.OrderBy(b => b.Key).Select(b => (entry.Name, b.Key, b.Value)));
            steps.AddRange(builder.Steps.Select(s => (entry.Name, s.Phase, s.Bytes)));
        }

        EquatableArray<(int, string)> stacks = _pipelined ? _entries[0].Graph.Stacks.Where(s => _entries[0].Map.Layers(s.Id, stage) > 0).Select(s => (s.Id, s.Path)).ToEquatable() : default;
        var program = new StageProgram(
            "", buffers.Buffers, entries.ToEquatable(), parameters.Parameters.ToEquatable(), parameters.Groups.ToEquatable(), parameters.Bytes, step, bound,
            blocks.ToEquatable(), stacks) { Profile = profile.ToEquatable(), Steps = steps.ToEquatable() };
        int same = _programs.FindIndex(p => p with { Name = "" } == program);
        if (same >= 0)
        {
            return same;
        }

        _programs.Add(program with { Name = "Stage" + _programs.Count.ToString(System.Globalization.CultureInfo.InvariantCulture) });
        return _programs.Count - 1;
    }

    private LocalGraph Slice(TracedEntry entry, int stage)
    {
        LocalGraph whole = Lowering.Lower(entry.Sharded);
        if (!_pipelined)
        {
            return whole;
        }

        LocalGraph part = StageSlicer.Slice(whole, entry.Map, stage, _split && entry.Name == "Train", out ImmutableArray<Unroutable> unroutable);
        Unroutable.AddRange(unroutable);
        return part;
    }

    private static IReadOnlyDictionary<string, EquatableArray<int>> FindTied(TracedEntry train)
    {
        var result = new Dictionary<string, EquatableArray<int>>();
        foreach (Value parameter in train.Graph.Parameters.Where(p => p.Stack < 0))
        {
            var stages = new SortedSet<int>();
            foreach (Region region in train.Graph.Regions)
            {
                foreach (Node node in region.Nodes.Where(n => n.Inputs.Contains(parameter)))
                {
                    stages.UnionWith(region.Stack is { } stack ? Enumerable.Range(0, train.Map.Stages).Where(s => train.Map.Layers(stack.Id, s) > 0) : new[] { train.Map.StageOf(node) });
                }
            }

            if (stages.Count > 1)
            {
                result[parameter.Parameter!.Path] = stages.ToEquatable();
            }
        }

        return result;
    }
}
