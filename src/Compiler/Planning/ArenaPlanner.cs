using System.Text;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Lays out the arena of each pipeline coordinate: state of its stages, the step's scalars, the kernels' scratch, then the memory that its entries share: what lives within an
/// action, and the blocks of the micro-batches.</summary>
internal sealed class ArenaPlanner
{
    /// <summary>Most points of a timeline; of a longer one each point is the largest of a stretch.</summary>
    private const int MostPoints = 160;

    private const int WordsOfALine = 12;
    private static readonly Phase[] s_forward = { Phase.Forward }, s_inputGradient = { Phase.InputGradient }, s_weightGradient = { Phase.WeightGradient };
    private static readonly Phase[] s_backward = { Phase.Backward, Phase.InputGradient, Phase.WeightGradient };
    private readonly IReadOnlyList<StageProgram> _programs;
    private readonly int _worldRanks;
    private readonly long _scratchBytes;

    public ArenaPlanner(IReadOnlyList<StageProgram> programs, int worldRanks, long scratchBytes)
    {
        _programs = programs;
        _worldRanks = worldRanks;
        _scratchBytes = scratchBytes;
    }

    /// <summary>The arena of a model of one stage.</summary>
    public RankPlan Single()
    {
        StageProgram program = _programs[0];
        return Finish(
            new List<ChunkPlan> { new(0, 0, 0, default, default, -1, -1) }, program.StateBytes, default,
            program.Entries.Select(e => new EntryMemory(
                e.Name, program.Steps.Where(s => s.Entry == e.Name).Select(s => s.Bytes).DefaultIfEmpty(0).Max(),
                program.Profile.Where(p => p.Entry == e.Name).Select(p => new TimelinePoint(p.Where, p.Bytes)).ToList())).ToList());
    }

    /// <summary>The arenas of a pipeline, by coordinate.</summary>
    /// <param name="programOf">Program of each stage.</param>
    /// <param name="map">Layers on each stage.</param>
    /// <param name="entries">Each entry's order, lowered; training first.</param>
    /// <param name="resultBytes">Size of the inference result, which every rank receives.</param>
    public EquatableArray<RankPlan> Pipeline(IReadOnlyList<int> programOf, StageMap map, IReadOnlyList<(string Entry, LoweredPipeline Order)> entries, long resultBytes)
    {
        ActionTable table = entries[0].Order.Table;
        List<EquatableArray<StageSlots>> slots = entries.Select(e => PipelineSlots.Assign(e.Order)).ToList();
        Dictionary<(int, string, Phase), long> peaks = Peaks();
        return Enumerable.Range(0, table.Ranks.Count).Select(rank => Rank(rank, programOf, map, entries, slots, peaks, resultBytes)).ToEquatable();
    }

    /// <summary>Bytes of the ranks of a pipeline for one entry, each laid out when it is asked for.</summary>
    /// <param name="programOf">Program of each stage.</param>
    /// <param name="entry">The entry.</param>
    /// <param name="order">Its order, lowered.</param>
    public IEnumerable<long> Bytes(IReadOnlyList<int> programOf, string entry, LoweredPipeline order)
    {
        EquatableArray<StageSlots> slots = PipelineSlots.Assign(order);
        for (int rank = 0; rank < order.Ranks.Count; rank++)
        {
            List<(int Stage, StageProgram Program)> stages = order.Table.StagesOf(rank).Select(s => (s, _programs[programOf[s]])).ToList();
            yield return stages.Sum(s => s.Program.StateBytes) + ScalarBytes + _scratchBytes + new SlotLayout(entry, order, slots, rank, stages).Bytes;
        }
    }

    /// <summary>The most bytes that are live at once in each phase of a program.</summary>
    private Dictionary<(int, string, Phase), long> Peaks()
    {
        var peaks = new Dictionary<(int, string, Phase), long>();
        for (int p = 0; p < _programs.Count; p++)
        {
            foreach (IGrouping<(string Entry, Phase Phase), ProfilePoint> phase in _programs[p].Profile.GroupBy(x => (x.Entry, x.Phase)))
            {
                peaks[(p, phase.Key.Entry, phase.Key.Phase)] = phase.Max(x => x.Bytes);
            }
        }

        return peaks;
    }

    private RankPlan Rank(
        int rank, IReadOnlyList<int> programOf, StageMap map, IReadOnlyList<(string Entry, LoweredPipeline Order)> entries, List<EquatableArray<StageSlots>> slots, Dictionary<(int, string, Phase), long> peaks, long resultBytes)
    {
        ActionTable table = entries[0].Order.Table;
        List<(int Stage, StageProgram Program)> stages = table.StagesOf(rank).Select(s => (s, _programs[programOf[s]])).ToList();
        long state = stages.Sum(s => s.Program.StateBytes), free = state + ScalarBytes + _scratchBytes, offset = 0;
        List<SlotLayout> layouts = entries.Select((e, i) => new SlotLayout(e.Entry, e.Order, slots[i], rank, stages)).ToList();
        var chunks = new List<ChunkPlan>();
        foreach ((int stage, StageProgram program) in stages)
        {
            int before = stage == 0 ? -1 : table.RankOfStage[stage - 1], after = stage + 1 == table.Stages ? -1 : table.RankOfStage[stage + 1];
            chunks.Add(new ChunkPlan(stage, programOf[stage], offset, layouts.SelectMany(l => l.Of(stage, free)).ToEquatable(), program.Stacks.Select(s => map.FirstLayer(s.Id, stage)).ToEquatable(), before, after)
            {
                Steps = layouts.SelectMany(l => l.StepsOf(stage, free)).ToEquatable(),
                Found = Found(table.Ranks[rank], stage, program),
            });
            offset += program.StateBytes;
        }

        var actions = new List<(string, EquatableArray<string>)>();
        var memory = new List<EntryMemory>();
        for (int e = 0; e < entries.Count; e++)
        {
            (string entry, LoweredPipeline order) = entries[e];
            long[] live = layouts[e].Live();
            var steps = new Dictionary<(int Stage, ActionKind), long>();
            long Step(LoweredAction line)
            {
                if (line.Kind != LoweredKind.Compute)
                {
                    return 0;
                }

                if (!steps.TryGetValue((line.Stage, line.Action), out long most))
                {
                    steps[(line.Stage, line.Action)] = most = Phases(line.Action).Max(p => peaks.TryGetValue((programOf[line.Stage], entry, p), out long bytes) ? bytes : 0);
                }

                return most;
            }

            List<TimelinePoint> points = Points(order, rank, at => live[at] + Step(order.Ranks[rank][at]));
            long bytes = layouts[e].Bytes;
            if (entry == "Infer")
            {
                // The result is where nothing else is any more.
                long result = ArenaLayout.Align(resultBytes);
                (bytes, points) = (Math.Max(bytes, result), points.Append(new TimelinePoint("result", result)).ToList());
            }

            memory.Add(new EntryMemory(entry, bytes, points));
            actions.Add((entry, SlotLines(entry, chunks).Concat(Lines(order, rank)).ToEquatable()));
        }

        return Finish(chunks, state, actions.ToEquatable(), memory);
    }

    /// <summary>How often the actions of a stage find their first layers in their rings.</summary>
    private static EquatableArray<(Phase, RingFind, int)> Found(EquatableArray<StageAction> actions, int stage, StageProgram program)
    {
        if (!program.Entries[0].Spans)
        {
            return default;
        }

        ImmutableArray<ActionTurn> turns = ActionTurn.Of(actions);
        Dictionary<Phase, int> Count(Func<ActionTurn, bool> which) => Enumerable.Range(0, actions.Count).Where(i => actions[i].Stage == stage && actions[i].Kind != ActionKind.WeightGradient && which(turns[i]))
            .SelectMany(i => Phases(actions[i].Kind)).GroupBy(p => p).ToDictionary(p => p.Key, p => p.Count());
        return Count(t => t.Turns).Select(c => (c.Key, RingFind.Turns, c.Value)).Concat(Count(t => t.Stays).Select(c => (c.Key, RingFind.Stays, c.Value))).ToEquatable();
    }

    /// <summary>A point for each action, which also stands for the messages before it (the last one for those behind it too).</summary>
    private static List<TimelinePoint> Points(LoweredPipeline order, int rank, Func<int, long> bytesAt)
    {
        var points = new List<TimelinePoint>();
        long most = 0;
        EquatableArray<LoweredAction> lines = order.Ranks[rank];
        for (int at = 0; at < lines.Count; at++)
        {
            most = Math.Max(most, bytesAt(at));
            if (lines[at].Kind == LoweredKind.Compute)
            {
                points.Add(new TimelinePoint(order.Text(lines[at]), most));
                most = 0;
            }
        }

        if (points.Count > 0)
        {
            TimelinePoint last = points[points.Count - 1];
            points[points.Count - 1] = last with { Bytes = Math.Max(last.Bytes, most) };
        }

        return points;
    }

    /// <summary>The phases that an action runs.</summary>
    private static Phase[] Phases(ActionKind kind) => kind switch
    {
        ActionKind.Forward => s_forward,
        ActionKind.InputGradient => s_inputGradient,
        ActionKind.WeightGradient => s_weightGradient,
        _ => s_backward,
    };

    /// <summary>The block of each micro-batch, where there are several.</summary>
    private static IEnumerable<string> SlotLines(string entry, List<ChunkPlan> chunks) => chunks.SelectMany(c => c.Spaces.Where(s => s.Entry == entry && s.Slots > 1)
        .Select(s => $"stage {c.Stage} {s.Space}: {string.Join(" ", s.SlotOf)}"));

    /// <summary>Actions and messages of a rank, some to a line. What is done once per step is in the text of the step.</summary>
    private static IEnumerable<string> Lines(LoweredPipeline order, int rank)
    {
        var text = new StringBuilder();
        int words = 0;
        foreach (LoweredAction action in order.Ranks[rank].Where(a => a.Kind is LoweredKind.Compute or LoweredKind.StartReceive or LoweredKind.AwaitReceive or LoweredKind.StartSend or LoweredKind.AwaitSend))
        {
            if (words == WordsOfALine)
            {
                yield return text.ToString();
                text.Clear();
                words = 0;
            }

            order.Append(words++ == 0 ? text : text.Append(' '), action);
        }

        if (words > 0)
        {
            yield return text.ToString();
        }
    }

    /// <summary>Doubles of this rank and of all ranks of a group: sum and weight of the loss, a squared norm for each parameter group.</summary>
    private long ScalarBytes => ArenaLayout.Align(8L * (_programs.Max(p => p.Groups.Count) + 4) * (_worldRanks + 1));

    /// <summary>What an entry needs beside state, scalars and scratch.</summary>
    /// <param name="Entry">Its name.</param>
    /// <param name="Bytes">As laid out.</param>
    /// <param name="Points">What of it is live where.</param>
    private sealed record EntryMemory(string Entry, long Bytes, List<TimelinePoint> Points)
    {
        public long Live => Points.Select(p => p.Bytes).DefaultIfEmpty(0).Max();
    }

    private RankPlan Finish(List<ChunkPlan> chunks, long state, EquatableArray<(string, EquatableArray<string>)> actions, List<EntryMemory> entries)
    {
        long scratch = state + ScalarBytes, step = scratch + _scratchBytes, bytes = entries.Max(e => e.Bytes);
        IEnumerable<TimelinePoint> timeline = entries[0].Points.Concat(entries.Skip(1).Where(e => e.Live > entries[0].Live).SelectMany(e => e.Points.Select(p => p with { Where = $"{e.Entry} {p.Where}".TrimEnd() })));
        return new RankPlan(chunks.ToEquatable(), state, ScalarBytes, scratch, step, bytes, step + bytes, actions)
        {
            StateBytes = state,
            LowerBound = step + entries.Max(e => e.Live),
            Timeline = Shorten(timeline.Select(p => p with { Bytes = step + p.Bytes }).ToList()).ToEquatable(),
            Entries = entries.Select(e => (e.Entry, e.Bytes)).ToEquatable(),
        };
    }

    /// <summary>One point for neighbours that are alike, and of many the largest of each stretch.</summary>
    private static IEnumerable<TimelinePoint> Shorten(List<TimelinePoint> points)
    {
        List<TimelinePoint> changes = points.Where((p, i) => i == 0 || p != points[i - 1]).ToList();
        int stretch = Math.Max(1, (changes.Count + MostPoints - 1) / MostPoints);
        return changes.Select((p, i) => (p, i)).GroupBy(x => x.i / stretch).Select(g => g.OrderByDescending(x => x.p.Bytes).First().p);
    }
}
