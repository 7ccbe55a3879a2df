using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>One action, statement by statement on a clock: kernels run one after another, a collective is under way from its start, and a wait ends where it ends.</summary>
internal sealed partial class StepTime
{
    private static readonly Phase[] s_all = (Phase[])Enum.GetValues(typeof(Phase));

    private readonly Dictionary<(int Program, string Phases, bool InFew), ActionTime> _actions = new();
    private readonly Dictionary<int, List<Round>> _rounds = new();

    /// <summary>What is done a number of times, one after another: a layer of a loop.</summary>
    /// <param name="Times">How often.</param>
    /// <param name="Seconds">Time of once.</param>
    /// <param name="Least">The same, were collectives started and waited for as early and as late as what they carry allows.</param>
    /// <param name="Spans">What once is made of.</param>
    /// <param name="Sums">Groups of parameters whose sums may start, and when, in the last micro-batch.</param>
    /// <param name="Waits">What is waited for.</param>
    internal sealed record Part(int Times, double Seconds, LeastTime Least, EquatableArray<SimulatedSpan> Spans, EquatableArray<(int Group, double At)> Sums, EquatableArray<ExposedCollective> Waits)
    {
        /// <summary>Whether it is part of the backward pass.</summary>
        public bool IsBackward { get; init; }
    }

    /// <summary>An action of a stage, or all of a micro-batch.</summary>
    internal sealed record ActionTime(EquatableArray<Part> Parts)
    {
        public double Seconds { get; } = Parts.Sum(p => p.Times * p.Seconds);

        public double LeastSeconds { get; } = Math.Min(Parts.Sum(p => p.Times * p.Seconds), Parts.Sum(p => p.Times * p.Least.Seconds));

        public double Compute { get; } = SumOf(Parts, SimulatedKind.Kernel);

        public double Communication { get; } = SumOf(Parts, SimulatedKind.Communication);

        public long Spans { get; } = Parts.Sum(p => (long)p.Times * p.Spans.Count);

        public double Of(bool least) => least ? LeastSeconds : Seconds;

        /// <summary>When the sums of groups may start, from the start of the action.</summary>
        public IEnumerable<(int Group, double At)> Sums(bool least)
        {
            double start = 0;
            foreach (Part part in Parts)
            {
                double seconds = least ? part.Least.Seconds : part.Seconds;
                for (int i = 0; i < part.Times; i++, start += seconds)
                {
                    foreach ((int group, double at) in part.Sums)
                    {
                        yield return (group, start + Math.Min(at, seconds));
                    }

                    if (part.Sums.Count == 0)
                    {
                        start += (part.Times - 1 - i) * seconds;
                        i = part.Times - 1;
                    }
                }
            }
        }

        /// <summary>The same time in few spans: its kernels as one, and behind them one for each operation of each group, hidden time in front of what is exposed.</summary>
        public ActionTime InFew()
        {
            var spans = new List<SimulatedSpan> { new(SimulatedKind.Kernel, "", "kernels", 0, Compute, 0) };
            double at = Compute;
            foreach (var same in Parts.SelectMany(p => p.Spans.Select(s => (Span: s, p.Times))).Where(s => s.Span.Kind is SimulatedKind.Communication).GroupBy(s => (s.Span.Lane, s.Span.Name)))
            {
                double under = same.Sum(s => s.Times * s.Span.Seconds);
                double exposed = same.Sum(s => s.Times * s.Span.Exposed);
                if (exposed > 0)
                {
                    spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", same.Key.Name, at, at + exposed, 0));
                }

                at += exposed;
                spans.Add(new SimulatedSpan(SimulatedKind.Communication, same.Key.Lane, same.Key.Name, Math.Max(0, at - under), at, same.Sum(s => s.Times * s.Span.Bytes)) { Exposed = exposed });
            }

            return new ActionTime(EquatableArray.Of(new Part(1, Seconds, new LeastTime(LeastSeconds, 0, 0, 0), spans.ToEquatable(), default, default)));
        }

        private static double SumOf(EquatableArray<Part> parts, SimulatedKind kind) => parts.Sum(p => p.Times * p.Spans.Where(s => s.Kind == kind).Sum(s => s.Seconds));
    }

    /// <summary>Micro-batches that follow on each other and take the same time.</summary>
    internal readonly record struct Round(int Times, ActionTime Action);

    /// <summary>The micro-batches of a step of a stage. In a model of one stage one may wait for what the one before has started.</summary>
    private List<Round> Rounds(int program)
    {
        if (_program.Order is not null || _program.Pipeline is not null)
        {
            return new List<Round> { new(_program.MicroBatches, Action(program, s_all)) };
        }

        if (!_rounds.TryGetValue(program, out List<Round>? rounds))
        {
            _rounds[program] = rounds = new List<Round>();
            StageProgram stage = _program.Stages[program];
            EntryPlan train = stage.Entries[0];
            List<ProgramStatement> all = train.Main.ToList();
            bool guarded = all.Concat(train.Methods.SelectMany(m => m.Statements)).Any(s => s.On != MicroBatchGuard.All || s.Guard is { SecondIsLater: true });
            var walk = new ActionWalk(this, stage);
            for (int i = 0; i < _program.MicroBatches;)
            {
                int microBatch = i, last = _program.MicroBatches - 1;
                ActionTime action = walk.Whole(train, all, s => s.IsIn(microBatch, last + 1), ends: !guarded || i == last, i == 0, out bool settled);
                int alike = !guarded ? last + 1 : i > 0 && i < last && settled ? last - i : 1;
                rounds.Add(new Round(alike, action));
                i += alike;
            }
        }

        return rounds;
    }

    private static Phase[] PhasesOf(ActionKind kind) => kind switch
    {
        ActionKind.Forward => new[] { Phase.Forward },
        ActionKind.InputGradient => new[] { Phase.InputGradient, Phase.Backward },
        ActionKind.WeightGradient => new[] { Phase.WeightGradient },
        _ => new[] { Phase.InputGradient, Phase.Backward, Phase.WeightGradient },
    };

    private ActionTime Action(int program, Phase[] phases, bool inFew = false)
    {
        (int, string, bool) key = (program, string.Join(" ", phases), inFew);
        if (_actions.TryGetValue(key, out ActionTime? action))
        {
            return action;
        }

        if (inFew)
        {
            action = Action(program, phases).InFew();
        }
        else
        {
            StageProgram stage = _program.Stages[program];
            EntryPlan train = stage.Entries[0];
            action = new ActionWalk(this, stage).Whole(train, train.Phases.Where(p => phases.Contains(p.Phase)).SelectMany(p => p.Main), _ => true, ends: !IsSpanning, first: false, out _);
        }

        return _actions[key] = action;
    }
}
