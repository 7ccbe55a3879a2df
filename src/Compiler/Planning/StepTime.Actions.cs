using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>One action, statement by statement on a clock: kernels run one after another, a collective is under way from its start, and a wait ends where it ends.</summary>
internal sealed partial class StepTime
{
    private static readonly Phase[] s_all = (Phase[])Enum.GetValues(typeof(Phase));

    private readonly Dictionary<(int Program, string Phases, bool InFew), ActionTime> _actions = new();

    /// <summary>What is done a number of times, one after another: a layer of a loop.</summary>
    internal sealed record Part(int Times, double Seconds, EquatableArray<SimulatedSpan> Spans);

    /// <summary>An action of a stage, or all of a micro-batch.</summary>
    internal sealed record ActionTime(EquatableArray<Part> Parts)
    {
        public double Seconds { get; } = Parts.Sum(p => p.Times * p.Seconds);

        public long Spans { get; } = Parts.Sum(p => (long)p.Times * p.Spans.Count);

        /// <summary>The same time in few spans: its kernels as one, and behind them one for each operation of each group, hidden time in front of what is exposed.</summary>
        public ActionTime InFew()
        {
            double kernels = Parts.Sum(p => p.Times * p.Spans.Where(s => s.Kind == SimulatedKind.Kernel).Sum(s => s.Seconds));
            var spans = new List<SimulatedSpan> { new(SimulatedKind.Kernel, "", "kernels", 0, kernels, 0) };
            double at = kernels;
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

            return new ActionTime(EquatableArray.Of(new Part(1, Seconds, spans.ToEquatable())));
        }
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
                : Walk(stage, 1, new[] { statement })).ToEquatable());
        }

        return _actions[key] = action;
    }

    /// <summary>Walks statements that leave nothing under way: what a wait does not end, ends at their end.</summary>
    private Part Walk(StageProgram stage, int times, IEnumerable<ProgramStatement> statements)
    {
        var spans = new List<SimulatedSpan>();
        var under = new Dictionary<string, SimulatedSpan>();
        var free = new Dictionary<string, double>();
        double clock = 0;
        foreach (ProgramStatement statement in statements)
        {
            Time time = Of(stage, statement);
            if (statement is ProgramStatement.Start start)
            {
                string lane = string.Join("+", start.Axes);
                double from = Math.Max(clock, free.TryGetValue(lane, out double since) ? since : 0);
                under[start.Ticket] = new SimulatedSpan(SimulatedKind.Communication, lane, start.Kind.ToString(), from, free[lane] = from + time.Communication, start.Bytes);
            }
            else if (statement is ProgramStatement.Wait wait)
            {
                Await(wait.Ticket);
            }
            else if (time.Compute > 0)
            {
                string name = statement switch { ProgramStatement.Run run => _program.Kernels[run.Kernel].Name, ProgramStatement.Load => "load", _ => "accumulate" };
                spans.Add(new SimulatedSpan(SimulatedKind.Kernel, "", name, clock, clock += time.Compute, 0));
            }
        }

        foreach (string ticket in under.OrderBy(u => u.Value.End).Select(u => u.Key).ToList())
        {
            Await(ticket);
        }

        return new Part(times, clock, spans.ToEquatable());

        void Await(string ticket)
        {
            if (!under.TryGetValue(ticket, out SimulatedSpan communication))
            {
                return;
            }

            under.Remove(ticket);
            double exposed = Math.Max(0, communication.End - clock);
            if (exposed > 0)
            {
                spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", communication.Name, clock, clock = communication.End, 0));
            }

            if (communication.Seconds > 0)
            {
                spans.Add(communication with { Exposed = exposed });
            }
        }
    }
}
