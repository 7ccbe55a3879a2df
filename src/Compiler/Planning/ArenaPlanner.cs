using System.Text;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>Lays out the arena of each pipeline coordinate: state and blocks of its stages, then the step's scalars, the kernels' scratch, and the space
/// that all its stages share.</summary>
internal sealed class ArenaPlanner
{
    private static readonly MemorySpace[] s_slotted = { MemorySpace.Input, MemorySpace.Kept, MemorySpace.Output, MemorySpace.GradientIn, MemorySpace.GradientOut, MemorySpace.Deferred };
    private const int WordsOfALine = 12;
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
    public RankPlan Single() => Finish(new List<ChunkPlan> { new(0, 0, 0, default, default, -1, -1) }, _programs[0].StateBytes, default, 0);

    /// <summary>The arenas of a pipeline, by coordinate.</summary>
    /// <param name="programOf">Program of each stage.</param>
    /// <param name="map">Layers on each stage.</param>
    /// <param name="entries">Each entry's order, lowered.</param>
    /// <param name="resultBytes">Size of the inference result, which every rank receives.</param>
    public EquatableArray<RankPlan> Pipeline(IReadOnlyList<int> programOf, StageMap map, IReadOnlyList<(string Entry, LoweredPipeline Order)> entries, long resultBytes)
    {
        ActionTable table = entries[0].Order.Table;
        var slots = entries.Select(e => PipelineSlots.Assign(e.Order)).ToList();
        var ranks = new List<RankPlan>();
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            long offset = 0;
            var chunks = new List<ChunkPlan>();
            var lines = entries.Select(_ => new List<string>()).ToList();
            foreach (int stage in table.StagesOf(rank))
            {
                StageProgram program = _programs[programOf[stage]];
                long state = offset;
                offset += program.StateBytes;
                var spaces = new List<SlotPlan>();
                foreach (MemorySpace space in s_slotted)
                {
                    // What a stage hands to one on its own rank is copied at once: one block will do.
                    long block = program.BlockOf(space);
                    int count = block == 0 ? 0 : Math.Max(1, slots.Max(s => MapOf(s[stage], space).Count));
                    spaces.Add(new SlotPlan(space, offset, block, count));
                    offset += block * count;
                    for (int e = 0; e < entries.Count; e++)
                    {
                        SlotMap of = MapOf(slots[e][stage], space);
                        if (block > 0 && of.Count > 1)
                        {
                            lines[e].Add($"stage {stage} {space}: {string.Join(" ", of.SlotOf)}");
                        }
                    }
                }

                int before = stage == 0 ? -1 : table.RankOfStage[stage - 1], after = stage + 1 == table.Stages ? -1 : table.RankOfStage[stage + 1];
                chunks.Add(new ChunkPlan(stage, programOf[stage], state, spaces.ToEquatable(), program.Stacks.Select(s => map.FirstLayer(s.Id, stage)).ToEquatable(), before, after));
            }

            EquatableArray<(string, EquatableArray<string>)> actions = entries.Select((e, i) => (e.Entry, lines[i].Concat(Lines(e.Order, rank)).ToEquatable())).ToEquatable();
            ranks.Add(Finish(chunks, offset, actions, resultBytes));
        }

        return ranks.ToEquatable();
    }

    private static SlotMap MapOf(StageSlots slots, MemorySpace space) => space switch
    {
        MemorySpace.Input => slots.Input,
        MemorySpace.Kept => slots.Kept,
        MemorySpace.Output => slots.Output,
        MemorySpace.GradientIn => slots.GradientIn,
        MemorySpace.GradientOut => slots.GradientOut,
        _ => slots.Deferred,
    };

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

    private RankPlan Finish(List<ChunkPlan> chunks, long offset, EquatableArray<(string, EquatableArray<string>)> actions, long resultBytes)
    {
        // Doubles of this rank and of all ranks of a group: sum and weight of the loss, a squared norm for each parameter group.
        int groups = _programs.Max(p => p.Groups.Count);
        long scalars = offset, scalarBytes = ArenaLayout.Align(8L * (groups + 4) * (_worldRanks + 1));
        long scratch = scalars + scalarBytes, step = scratch + _scratchBytes;
        long stepBytes = Math.Max(ArenaLayout.Align(resultBytes), chunks.Max(c => _programs[c.Program].StepBytes));
        return new RankPlan(chunks.ToEquatable(), scalars, scalarBytes, scratch, step, stepBytes, step + stepBytes, actions);
    }
}
