using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Buffers of one kind: how many there must be, and which one a micro-batch uses.</summary>
/// <param name="Count">Number of buffers; 0 where the stage needs none of the kind.</param>
/// <param name="SlotOf">For each micro-batch its buffer; empty where there are none.</param>
public sealed record SlotMap(int Count, EquatableArray<int> SlotOf)
{
    /// <summary>For each micro-batch the first and last line of its rank at which its buffer is needed.</summary>
    public EquatableArray<(int Begin, int End)> Lives { get; init; }

    /// <summary>No buffers.</summary>
    public static SlotMap None { get; } = new(0, EquatableArray<int>.Empty);

    /// <summary>The fewest buffers for lifetimes, one for each micro-batch: each takes the lowest one that is free when it begins.</summary>
    internal static SlotMap Of((int Begin, int End)[] lives)
    {
        var slots = new int[lives.Length];
        var busyUntil = new List<int>();
        foreach (int m in Enumerable.Range(0, lives.Length).OrderBy(m => lives[m].Begin).ThenBy(m => m))
        {
            int slot = busyUntil.FindIndex(end => end < lives[m].Begin);
            if (slot < 0)
            {
                slot = busyUntil.Count;
                busyUntil.Add(0);
            }

            busyUntil[slot] = lives[m].End;
            slots[m] = slot;
        }

        return new SlotMap(busyUntil.Count, slots.ToEquatable()) { Lives = lives.ToEquatable() };
    }
}

/// <summary>The buffers of a stage, one of each kind for each micro-batch that is alive. Lives end where a wait ends, not where a start stands.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Input">What comes from earlier stages: from the posting of its receive (on one rank: from the forward that writes it) to the last gradient.</param>
/// <param name="Kept">What lives from forward to the last gradient.</param>
/// <param name="Output">What goes to later stages on other ranks: from forward until its send is waited for.</param>
/// <param name="GradientIn">The gradient that comes from later stages: from the posting of its receive to the last gradient, which needs it too.</param>
/// <param name="GradientOut">The gradient that goes to earlier stages on other ranks: until its send is waited for.</param>
/// <param name="Deferred">What lives from I to W, where the backward is split.</param>
/// <param name="Whole">All of the above as one block per micro-batch.</param>
public sealed record StageSlots(int Stage, SlotMap Input, SlotMap Kept, SlotMap Output, SlotMap GradientIn, SlotMap GradientOut, SlotMap Deferred, SlotMap Whole);

/// <summary>Assigns buffers: static, the same on every run, and the fewest that the order allows.</summary>
public static class PipelineSlots
{
    /// <summary>The buffers of each stage.</summary>
    public static EquatableArray<StageSlots> Assign(LoweredPipeline pipeline)
    {
        int stages = pipeline.Table.Stages, count = pipeline.Table.Shape.MicroBatches;
        bool splits = pipeline.Table.SplitsBackward;
        Lives Make() => new(stages, count);
        Lives input = Make(), kept = Make(), output = Make(), gradientIn = Make(), gradientOut = Make(), deferred = Make(), whole = Make();
        ILookup<int, int> nextHere = Same(pipeline, e => e.From, e => e.To), previousHere = Same(pipeline, e => e.To, e => e.From);
        foreach (EquatableArray<LoweredAction> lines in pipeline.Ranks)
        {
            for (int at = 0; at < lines.Count; at++)
            {
                LoweredAction line = lines[at];
                (int stage, int m) = (line.Stage, line.MicroBatch);
                bool activation = line.Message >= 0 && pipeline.Messages[line.Message].Kind == MessageKind.Activation;
                switch (line.Kind)
                {
                    case LoweredKind.StartReceive:
                        (activation ? input : gradientIn).Touch(stage, m, at);
                        break;
                    case LoweredKind.AwaitSend:
                        (activation ? output : gradientOut).Touch(stage, m, at);
                        break;
                    case LoweredKind.StartSend:
                        (activation ? output : gradientOut).Touch(stage, m, at - 1);
                        break;
                    case LoweredKind.Compute when line.Action == ActionKind.Forward:
                        kept.Touch(stage, m, at);
                        input.Extend(stage, m, at); // a pass without backward needs it no longer than this
                        foreach (int next in nextHere[stage])
                        {
                            input.Touch(next, m, at);
                        }

                        break;
                    case LoweredKind.Compute:
                        kept.Touch(stage, m, at);
                        input.Extend(stage, m, at);
                        gradientIn.Extend(stage, m, at);
                        if (splits)
                        {
                            deferred.Touch(stage, m, at);
                        }

                        foreach (int previous in line.Action == ActionKind.WeightGradient ? [] : previousHere[stage])
                        {
                            gradientIn.Touch(previous, m, at);
                        }

                        break;
                    default:
                        continue;
                }
            }
        }

        // What goes is written by the action itself, wherever its send stands.
        foreach (EquatableArray<LoweredAction> lines in pipeline.Ranks)
        {
            for (int at = 0; at < lines.Count; at++)
            {
                if (lines[at] is { Kind: LoweredKind.Compute } line && line.Action != ActionKind.WeightGradient)
                {
                    (line.Action == ActionKind.Forward ? output : gradientOut).Extend(line.Stage, line.MicroBatch, at);
                }
            }
        }

        foreach (Lives part in new[] { input, kept, output, gradientIn, gradientOut, deferred })
        {
            whole.Include(part);
        }

        return Enumerable.Range(0, stages).Select(s => new StageSlots(
            s, input.Slots(s), kept.Slots(s), output.Slots(s), gradientIn.Slots(s), gradientOut.Slots(s), deferred.Slots(s), whole.Slots(s))).ToEquatable();
    }

    /// <summary>For each stage those on the same rank that an edge joins it with: the producer writes into their buffer.</summary>
    private static ILookup<int, int> Same(LoweredPipeline pipeline, Func<StageEdge, int> key, Func<StageEdge, int> other) =>
        pipeline.Edges.Where(e => pipeline.Table.RankOfStage[e.From] == pipeline.Table.RankOfStage[e.To]).ToLookup(key, other);

    /// <summary>First and last position at which the buffer of a stage and micro-batch is needed.</summary>
    private sealed class Lives(int stages, int count)
    {
        private readonly (int Begin, int End)[] _lives = Enumerable.Repeat((int.MaxValue, -1), stages * count).ToArray();

        public void Touch(int stage, int microBatch, int at)
        {
            ref (int Begin, int End) life = ref _lives[stage * count + microBatch];
            life = (Math.Min(life.Begin, at), Math.Max(life.End, at));
        }

        /// <summary>Touches it if it is there.</summary>
        public void Extend(int stage, int microBatch, int at)
        {
            if (_lives[stage * count + microBatch].End >= 0)
            {
                Touch(stage, microBatch, at);
            }
        }

        public void Include(Lives other)
        {
            for (int i = 0; i < _lives.Length; i++)
            {
                _lives[i] = (Math.Min(_lives[i].Begin, other._lives[i].Begin), Math.Max(_lives[i].End, other._lives[i].End));
            }
        }

        public SlotMap Slots(int stage)
        {
            var lives = new (int Begin, int End)[count];
            Array.Copy(_lives, stage * count, lives, 0, count);
            return lives.Length == 0 || lives.All(l => l.End < 0) ? SlotMap.None : SlotMap.Of(lives);
        }
    }
}
