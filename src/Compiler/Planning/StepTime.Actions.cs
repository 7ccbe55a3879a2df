using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>One action, statement by statement on a clock: kernels run one after another, a collective is under way from its start, and a wait ends where it ends.</summary>
internal sealed partial class StepTime
{
    private static readonly Phase[] s_all = (Phase[])Enum.GetValues(typeof(Phase));

    private readonly Dictionary<(int Program, string Phases, bool InFew), ActionTime> _actions = new();

    /// <summary>What is done a number of times, one after another: a layer of a loop.</summary>
    /// <param name="Times">How often.</param>
    /// <param name="Seconds">Time of once.</param>
    /// <param name="Least">The same, were collectives started and waited for as early and as late as what they carry allows.</param>
    /// <param name="Spans">What once is made of.</param>
    /// <param name="Sums">Groups of parameters whose sums may start, and when, in the last micro-batch.</param>
    /// <param name="Waits">What is waited for.</param>
    internal sealed record Part(int Times, double Seconds, LeastTime Least, EquatableArray<SimulatedSpan> Spans, EquatableArray<(int Group, double At)> Sums, EquatableArray<ExposedCollective> Waits);

    /// <summary>An action of a stage, or all of a micro-batch.</summary>
    internal sealed record ActionTime(EquatableArray<Part> Parts)
    {
        public double Seconds { get; } = Parts.Sum(p => p.Times * p.Seconds);

        public double LeastSeconds { get; } = Parts.Sum(p => p.Times * p.Least.Seconds);

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

            return new ActionTime(EquatableArray.Of(new Part(1, Seconds, new LeastTime(LeastSeconds, 0, 0), spans.ToEquatable(), default, default)));
        }

        private static double SumOf(EquatableArray<Part> parts, SimulatedKind kind) => parts.Sum(p => p.Times * p.Spans.Where(s => s.Kind == kind).Sum(s => s.Seconds));
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
            action = new ActionTime(train.Phases.Where(p => phases.Contains(p.Phase)).SelectMany(p => p.Main).Select(statement => statement is ProgramStatement.Call call
                ? Walk(stage, Math.Max(1, call.Layers), train.Methods[call.Method].Statements)
                : Walk(stage, 1, EquatableArray.Of(statement))).ToEquatable());
        }

        return _actions[key] = action;
    }

    /// <summary>A collective under way.</summary>
    /// <param name="Span">Where it is on its lane.</param>
    /// <param name="Start">The statement that starts it.</param>
    /// <param name="Ready">When it was started, which is before the span where the lane was taken.</param>
    private readonly record struct UnderWay(SimulatedSpan Span, ProgramStatement.Start Start, double Ready);

    /// <summary>Walks statements that leave nothing under way: what a wait does not end, ends at their end.</summary>
    private Part Walk(StageProgram stage, int times, EquatableArray<ProgramStatement> statements)
    {
        var spans = new List<SimulatedSpan>();
        var sums = new List<(int, double)>();
        var waits = new List<ExposedCollective>();
        var under = new Dictionary<string, UnderWay>();
        var free = new Dictionary<string, double>();
        double clock = 0;
        foreach (ProgramStatement statement in statements)
        {
            Time time = Of(stage, statement);
            if (statement is ProgramStatement.Start start)
            {
                string lane = string.Join("+", start.Axes);
                double from = Math.Max(clock, free.TryGetValue(lane, out double since) ? since : 0);
                under[start.Ticket] = new UnderWay(new SimulatedSpan(SimulatedKind.Communication, lane, start.Kind.ToString(), from, free[lane] = from + time.Communication, start.Bytes), start, clock);
            }
            else if (statement is ProgramStatement.Wait wait)
            {
                Await(wait.Ticket);
            }
            else if (statement is ProgramStatement.StartGradients gradients)
            {
                sums.Add((gradients.Group, clock));
            }
            else if (time.Compute > 0)
            {
                string name = statement switch { ProgramStatement.Run run => _program.Kernels[run.Kernel].Name, ProgramStatement.Load => "load", _ => "accumulate" };
                spans.Add(new SimulatedSpan(SimulatedKind.Kernel, "", name, clock, clock += time.Compute, 0));
            }
        }

        foreach (string ticket in under.OrderBy(u => u.Value.Span.End).Select(u => u.Key).ToList())
        {
            Await(ticket);
        }

        // The least is of the order as it is, or better.
        LeastTime least = waits.Count == 0 ? new LeastTime(clock, 0, 0) : Least(stage, statements);
        return new Part(times, clock, least with { Seconds = Math.Min(clock, least.Seconds) }, spans.ToEquatable(), sums.ToEquatable(), waits.ToEquatable());

        void Await(string ticket)
        {
            if (!under.TryGetValue(ticket, out UnderWay communication))
            {
                return;
            }

            under.Remove(ticket);
            SimulatedSpan span = communication.Span;
            double exposed = Math.Max(0, span.End - clock);
            if (exposed > 0)
            {
                string why = span.Start > communication.Ready ? BehindOthers : clock > communication.Ready ? LongerThanWork : NothingBeside;
                waits.Add(new ExposedCollective(span.Name, span.Lane, communication.Start.Reason, exposed, why));
                spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", span.Name, clock, clock = span.End, 0));
            }

            if (span.Seconds > 0)
            {
                spans.Add(span with { Exposed = exposed });
            }
        }
    }
}
