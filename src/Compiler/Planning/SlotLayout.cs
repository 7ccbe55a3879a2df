using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Lays out what one entry has on one rank of a pipeline beside the state: the blocks of its micro-batches, and what lives within an action, of all stages together over all
/// lines, so that what one has no use for yet another one may have. Also how much is live at each line.</summary>
internal sealed class SlotLayout
{
    /// <summary>Most blocks that are laid out by their lifetimes; more lie one after another.</summary>
    private const int MostBlocks = 600;

    /// <summary>Work that the search of all ranks of an entry may do.</summary>
    private const long MostLooks = 3_000_000;

    private static readonly MemorySpace[] s_spaces = { MemorySpace.Input, MemorySpace.Kept, MemorySpace.Output, MemorySpace.GradientIn, MemorySpace.GradientOut, MemorySpace.Deferred, MemorySpace.Gathered, MemorySpace.Summed };
    private readonly long _looks;
    private readonly string _entry;
    private readonly EquatableArray<LoweredAction> _lines;
    private readonly EquatableArray<StageSlots> _slots;
    private readonly IReadOnlyList<(int Stage, StageProgram Program)> _programs;
    private readonly Try _best;
    private (List<int> Lines, ImmutableArray<ActionTurn> Turns)? _actions;

    /// <summary>Lays out.</summary>
    /// <param name="entry">Name of the entry.</param>
    /// <param name="order">Its order.</param>
    /// <param name="slots">Its blocks, by stage.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="programs">The programs of the rank's stages.</param>
    public SlotLayout(string entry, LoweredPipeline order, EquatableArray<StageSlots> slots, int rank, IReadOnlyList<(int Stage, StageProgram Program)> programs)
    {
        _looks = MostLooks / order.Ranks.Count;
        _entry = entry;
        _lines = order.Ranks[rank];
        _slots = slots;
        _programs = programs;
        _best = new Try(this, each: false);

        // A block for each micro-batch has more freedom than one that several use in turn, at the price of longer tables.
        int micro = programs.Sum(p => s_spaces.Count(s => p.Program.BlockOf(entry, s) > 0)) * order.Table.Shape.MicroBatches;
        if (_best.Bytes > _best.LowerBound && micro <= MostBlocks / 2 && new Try(this, each: true) is { } each && each.Bytes < _best.Bytes)
        {
            _best = each;
        }
    }

    /// <summary>One layout.</summary>
    private sealed class Try
    {
        public Try(SlotLayout of, bool each)
        {
            var blocks = new List<Block>();
            foreach ((int stage, StageProgram program) in of._programs)
            {
                foreach (MemorySpace space in s_spaces)
                {
                    // What a stage hands to one on its own rank is copied at once: one block will do.
                    long bytes = program.BlockOf(of._entry, space);
                    SlotMap map = MapOf(of._slots[stage], space);
                    bool own = each && map.SlotOf.Count > 1;
                    EquatableArray<int> slotOf = bytes == 0 ? default : own ? Enumerable.Range(0, map.SlotOf.Count).ToEquatable() : map.SlotOf;
                    int count = bytes == 0 ? 0 : own ? slotOf.Count : Math.Max(1, map.Count);
                    Spaces.Add((stage, space, bytes, blocks.Count, count, count > 1 ? slotOf : default));
                    List<(int, int)>[] lives = Enumerable.Range(0, count).Select(_ => new List<(int, int)>()).ToArray();
                    foreach ((int slot, int first, int last) in count == 0 ? Enumerable.Empty<(int, int, int)>() : of.Lives(stage, space, slotOf))
                    {
                        lives[slot].Add((2 * first, 2 * last + 1));
                    }

                    blocks.AddRange(lives.Select(l => of.Make(bytes, l)));
                }
            }

            int slotBlocks = blocks.Count;
            foreach ((int stage, StageProgram program) in of._programs)
            {
                foreach ((string _, Phase phase, long bytes) in program.Steps.Where(s => s.Entry == of._entry))
                {
                    Steps.Add((stage, phase, blocks.Count));
                    blocks.Add(of.Make(bytes, of.Lines(stage, phase)));
                }
            }

            if (blocks.Count <= MostBlocks)
            {
                Layout layout = ArenaLayout.Place(blocks, of._looks);
                (Offsets, Bytes, LowerBound) = (layout.Offsets, layout.Bytes, layout.LowerBound);
                return;
            }

            var offsets = ImmutableArray.CreateBuilder<long>(blocks.Count);
            long end = 0;
            for (int i = 0; i < blocks.Count; i++)
            {
                // Only one action runs at a time.
                offsets.Add(end);
                end += i < slotBlocks ? ArenaLayout.Align(blocks[i].Bytes) : 0;
            }

            Offsets = offsets.ToImmutable();
            Bytes = LowerBound = end + blocks.Skip(slotBlocks).Select(b => ArenaLayout.Align(b.Bytes)).DefaultIfEmpty(0).Max();
        }

        public List<(int Stage, MemorySpace Space, long Bytes, int First, int Count, EquatableArray<int> SlotOf)> Spaces { get; } = new();

        public List<(int Stage, Phase Phase, int At)> Steps { get; } = new();

        public ImmutableArray<long> Offsets { get; }

        public long Bytes { get; }

        public long LowerBound { get; }
    }

    /// <summary>Bytes of all of it.</summary>
    public long Bytes => _best.Bytes;

    /// <summary>The buffers of a space.</summary>
    public static SlotMap MapOf(StageSlots slots, MemorySpace space) => space switch
    {
        MemorySpace.Input => slots.Input,
        MemorySpace.Kept => slots.Kept,
        MemorySpace.Output => slots.Output,
        MemorySpace.GradientIn => slots.GradientIn,
        MemorySpace.GradientOut => slots.GradientOut,
        MemorySpace.Deferred => slots.Deferred,
        _ => SlotMap.None, // one for all micro-batches
    };

    /// <summary>The spaces of a stage, from an offset on.</summary>
    public IEnumerable<SlotPlan> Of(int stage, long offset) => _best.Spaces.Where(s => s.Stage == stage)
        .Select(s => new SlotPlan(_entry, s.Space, s.Bytes, _best.Offsets.Skip(s.First).Take(s.Count).Select(o => offset + o).ToEquatable()) { SlotOf = s.SlotOf });

    /// <summary>Where what lives within the actions of a stage lies.</summary>
    public IEnumerable<(string, Phase, long)> StepsOf(int stage, long offset) => _best.Steps.Where(s => s.Stage == stage).Select(s => (_entry, s.Phase, offset + _best.Offsets[s.At]));

    /// <summary>For each line the bytes of the micro-batches' blocks that hold something.</summary>
    public long[] Live()
    {
        var live = new long[_lines.Count + 1];
        foreach ((int stage, MemorySpace space, long bytes, int _, int _, EquatableArray<int> _) in _best.Spaces.Where(s => s.Count > 0))
        {
            // Lives of a window meet where one action hands it to the next: it counts once.
            bool once = space is MemorySpace.Gathered or MemorySpace.Summed;
            int covered = -1;
            foreach ((int _, int begin, int end) in Lives(stage, space, default))
            {
                int from = once ? Math.Max(begin, covered + 1) : begin;
                if (from <= end)
                {
                    live[from] += ArenaLayout.Align(bytes);
                    live[end + 1] -= ArenaLayout.Align(bytes);
                    covered = end;
                }
            }
        }

        for (int i = 1; i < live.Length; i++)
        {
            live[i] += live[i - 1];
        }

        return live;
    }

    /// <summary>A block; one that no line needs is there all the time.</summary>
    private Block Make(long bytes, IEnumerable<(int First, int Last)> stretches)
    {
        List<(int, int)> all = stretches.ToList();
        return all.Count > 0 ? Block.Of(bytes, all) : new Block(bytes, 0, 2 * _lines.Count + 1);
    }

    /// <summary>Lives in a space: of each micro-batch, with its slot; or, where a space has no buffers of its own, the actions of the stage.</summary>
    private IEnumerable<(int Slot, int Begin, int End)> Lives(int stage, MemorySpace space, EquatableArray<int> slotOf)
    {
        if (space is MemorySpace.Gathered or MemorySpace.Summed)
        {
            foreach ((int begin, int end) in space == MemorySpace.Gathered ? Gathered(stage) : Summed(stage))
            {
                yield return (0, begin, end);
            }

            yield break;
        }

        SlotMap map = MapOf(_slots[stage], space);
        ImmutableArray<(int Begin, int End)> lives = map.Lives.Items;
        for (int m = 0; m < lives.Length; m++)
        {
            if (lives[m].End >= 0)
            {
                yield return (slotOf.Count == 0 ? 0 : slotOf[m], lives[m].Begin, lives[m].End);
            }
        }

        for (int at = 0; at < _lines.Count && map.Count == 0; at++)
        {
            if (_lines[at].Kind == LoweredKind.Compute && _lines[at].Stage == stage)
            {
                yield return (0, at, at);
            }
        }
    }

    /// <summary>Lines of the rank's actions, and what each finds.</summary>
    private (List<int> Lines, ImmutableArray<ActionTurn> Turns) Actions()
    {
        List<int> lines = Enumerable.Range(0, _lines.Count).Where(at => _lines[at].Kind == LoweredKind.Compute).ToList();
        return (lines, ActionTurn.Of(lines.Select(at => new StageAction(_lines[at].Action, _lines[at].Stage, _lines[at].MicroBatch)).ToList()));
    }

    /// <summary>Gathered parameters live from the action that starts to gather them, or has left them, to the end of the one that reads them.</summary>
    private IEnumerable<(int Begin, int End)> Gathered(int stage)
    {
        (List<int> lines, ImmutableArray<ActionTurn> turns) = _actions ??= Actions();
        for (int i = 0; i < lines.Count; i++)
        {
            if (_lines[lines[i]].Stage == stage && _lines[lines[i]].Action != ActionKind.WeightGradient)
            {
                int from = turns[i].Stays ? turns[i].From : turns[i].Before;
                yield return (from < 0 ? 0 : lines[from], lines[i]);
            }
        }
    }

    /// <summary>Gradients on their way into shards live from the action that makes them to the end of the rank's next one.</summary>
    private IEnumerable<(int Begin, int End)> Summed(int stage)
    {
        (List<int> lines, ImmutableArray<ActionTurn> _) = _actions ??= Actions();
        for (int i = 0; i < lines.Count; i++)
        {
            if (_lines[lines[i]].Stage == stage && _lines[lines[i]].Action is ActionKind.Backward or ActionKind.WeightGradient)
            {
                yield return (lines[i], i + 1 < lines.Count ? lines[i + 1] : _lines.Count - 1);
            }
        }
    }

    /// <summary>Half lines in which an action of a stage runs: where one line runs both halves of a backward, the gradient of the inputs comes first.</summary>
    private IEnumerable<(int First, int Last)> Lines(int stage, Phase phase)
    {
        for (int at = 0; at < _lines.Count; at++)
        {
            LoweredAction line = _lines[at];
            if (line.Kind != LoweredKind.Compute || line.Stage != stage)
            {
                continue;
            }

            bool both = line.Action == ActionKind.Backward;
            bool runs = phase switch
            {
                Phase.Forward => line.Action == ActionKind.Forward,
                Phase.InputGradient => both || line.Action == ActionKind.InputGradient,
                Phase.WeightGradient => both || line.Action == ActionKind.WeightGradient,
                _ => both,
            };
            if (runs)
            {
                yield return (2 * at + (both && phase == Phase.WeightGradient ? 1 : 0), 2 * at + (both && phase == Phase.InputGradient ? 0 : 1));
            }
        }
    }
}
