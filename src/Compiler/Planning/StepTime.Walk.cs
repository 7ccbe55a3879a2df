namespace Shardwright.Compiler.Planning;

internal sealed partial class StepTime
{
    /// <summary>A collective under way.</summary>
    /// <param name="Span">Where it is on its lane.</param>
    /// <param name="Start">The statement that starts it.</param>
    /// <param name="Ready">When it was started, which is before the span where the lane was taken.</param>
    private readonly record struct UnderWay(SimulatedSpan Span, ProgramStatement.Start Start, double Ready);

    /// <summary>Walks an action from method to method. What one layer starts, another one may wait for: layers are walked one by one until one finds under way what the one before it found; from there on,
    /// up to the last, they are alike.</summary>
    private sealed class ActionWalk
    {
        private readonly StepTime _time;
        private StageProgram _stage;
        private readonly List<Part> _parts = new();

        // Times count from the start of the part that is walked.
        private Dictionary<string, UnderWay> _under = new();
        private Dictionary<string, double> _free = new();
        private bool _isFirst;

        // In a pipeline: whose action it is, what it finds, and what it does for its neighbours.
        private string _owner = "";
        private Func<RingFind, bool> _finds = _ => true;
        private Hook? _next, _previous;

        public ActionWalk(StepTime time, StageProgram stage) => (_time, _stage) = (time, stage);

        /// <summary>Walks what an action, or a micro-batch, does.</summary>
        /// <param name="entry">The entry.</param>
        /// <param name="main">Its statements.</param>
        /// <param name="which">Those that are done.</param>
        /// <param name="ends">Whether what is still under way ends in it.</param>
        /// <param name="settled">Whether it leaves under way what it has found.</param>
        /// <param name="first">Whether it is the first micro-batch.</param>
        public ActionTime Whole(EntryPlan entry, IEnumerable<ProgramStatement> main, Func<ProgramStatement, bool> which, bool ends, bool first, out bool settled)
        {
            _isFirst = first;
            _parts.Clear();
            (Dictionary<string, UnderWay> under, Dictionary<string, double> free) = (_under, _free);
            foreach (ProgramStatement statement in main.Where(which))
            {
                if (statement is ProgramStatement.Call call)
                {
                    Loop(Math.Max(1, call.Layers), call.Reversed, entry.Methods[call.Method].Statements.Where(which).ToEquatable());
                }
                else
                {
                    Loop(1, _parts.Count > 0 && _parts[_parts.Count - 1].IsBackward, EquatableArray.Of(statement));
                }
            }

            settled = Settled(under, free);
            return ends ? End() : new ActionTime(_parts.ToEquatable());
        }

        /// <summary>Walks an action of a rank between its neighbours; what it leaves under way goes on in the next one.</summary>
        /// <param name="turn">The action.</param>
        /// <param name="opening">What it starts itself, because no action comes before it.</param>
        /// <param name="previous">What it ends of the action before.</param>
        /// <param name="next">What it starts of the action behind.</param>
        public ActionTime Whole(TurnAction turn, Hook? opening, Hook? previous, Hook? next)
        {
            EntryPlan entry = turn.Stage.Entries[0];
            (_stage, _owner, _finds, _previous, _next) = (turn.Stage, turn.Owner, turn.Finds, opening, null);
            _parts.Clear();
            Late(opening is null);
            (_previous, _next) = (previous, next);
            foreach (ProgramStatement statement in entry.Phases.Where(p => turn.Phases.Contains(p.Phase)).SelectMany(p => p.Main))
            {
                bool calls = statement is ProgramStatement.Call;
                Loop(calls ? Math.Max(1, ((ProgramStatement.Call)statement).Layers) : 1, statement is ProgramStatement.Call { Reversed: true }, calls ? entry.Methods[((ProgramStatement.Call)statement).Method].Statements : EquatableArray.Of(statement));
            }

            Late(_previous is null && _next is null);
            return new ActionTime(_parts.ToEquatable());
        }

        /// <summary>What is ended behind the last action, when its messages are on their way.</summary>
        public Part Tail(Hook closing)
        {
            (_previous, _next) = (closing, null);
            return Walk(EquatableArray.Of<ProgramStatement>(new ProgramStatement.EndPrevious()));
        }

        /// <summary>What has not been done for neighbours is done now.</summary>
        private void Late(bool nothing)
        {
            if (!nothing)
            {
                Loop(1, false, EquatableArray.Of<ProgramStatement>(new ProgramStatement.EndPrevious(), new ProgramStatement.StartNext()));
            }
        }

        /// <summary>Walks the statements of a method, once for each layer.</summary>
        private void Loop(int layers, bool reversed, EquatableArray<ProgramStatement> statements)
        {
            bool guarded = statements.Any(s => s.Guard is not null);
            for (int i = 0; i < layers;)
            {
                int layer = reversed ? layers - 1 - i : i;
                List<ProgramStatement> done = guarded ? statements.Where(s => s.Guard?.Holds(layer, s.Guard.By == RingFind.Later ? _isFirst : !_finds(s.Guard.By)) != false).ToList() : statements.ToList();
                (Dictionary<string, UnderWay> under, Dictionary<string, double> free) = (_under, _free);
                Part part = Walk(done.ToEquatable(), layers > 1);

                // The same is done from here on to the last but one, where the next layer is another case.
                int alike = guarded ? layers - 1 - i : layers - i;
                int times = (i > 0 || !guarded) && alike > 1 && Settled(under, free) ? alike : 1;
                _parts.Add(part with { Times = times, IsBackward = reversed });
                i += times;
            }
        }

        /// <summary>The action; what is still under way ends in it.</summary>
        private ActionTime End()
        {
            if (_under.Count > 0)
            {
                EquatableArray<ProgramStatement> waits = _under.OrderBy(u => u.Value.Span.End).Select(u => (ProgramStatement)new ProgramStatement.Wait(u.Key, default)).ToEquatable();
                _parts.Add(Walk(waits) with { IsBackward = true });
            }

            return new ActionTime(_parts.ToEquatable());
        }

        private bool Settled(Dictionary<string, UnderWay> under, Dictionary<string, double> free)
        {
            static bool Near(double a, double b) => Math.Abs(a - b) <= 1e-9 * (Math.Abs(a) + Math.Abs(b)) + 1e-15;
            return under.Count == _under.Count && free.Count == _free.Count
                && under.All(u => _under.TryGetValue(u.Key, out UnderWay now) && Near(u.Value.Span.End, now.Span.End) && Near(u.Value.Span.Start, now.Span.Start) && Near(u.Value.Ready, now.Ready))
                && free.All(f => _free.TryGetValue(f.Key, out double now) && Near(f.Value, now));
        }

        private Part Walk(EquatableArray<ProgramStatement> statements, bool loops = false)
        {
            var spans = new List<SimulatedSpan>();
            var sums = new List<(int, double)>();
            var waits = new List<ExposedCollective>();
            Dictionary<string, UnderWay> found = _under, under = new(_under);
            var free = new Dictionary<string, double>(_free);
            double clock = 0;
            var hooks = new List<Hook>();
            foreach (ProgramStatement own in statements)
            {
                if (own is not (ProgramStatement.StartNext or ProgramStatement.EndPrevious))
                {
                    Do(_stage, _owner, own);
                    continue;
                }

                bool starts = own is ProgramStatement.StartNext;
                Hook? hook = starts ? _next : _previous;
                (_next, _previous) = (starts ? null : _next, starts ? _previous : null);
                if (hook is not null)
                {
                    hooks.Add(hook);
                    foreach (ProgramStatement statement in hook.Statements)
                    {
                        Do(hook.Stage, hook.Owner, statement);
                    }
                }
            }

            void Do(StageProgram stage, string owner, ProgramStatement statement)
            {
                Time time = _time.Of(stage, statement);
                if (statement is ProgramStatement.Start start)
                {
                    string lane = string.Join("+", start.Axes);
                    double from = Math.Max(clock, free.TryGetValue(lane, out double since) ? since : 0);
                    under[owner + start.Ticket] = new UnderWay(new SimulatedSpan(SimulatedKind.Communication, lane, start.Kind.ToString(), from, free[lane] = from + time.Communication, start.Bytes), start, clock);
                }
                else if (statement is ProgramStatement.Wait wait)
                {
                    clock = Await(owner + wait.Ticket, clock, under, spans, waits);
                }
                else if (statement is ProgramStatement.StartGradients gradients)
                {
                    sums.Add((gradients.Group, clock));
                }
                else if (time.Compute > 0)
                {
                    string name = statement switch { ProgramStatement.Run run => _time._program.Kernels[run.Kernel].Name, ProgramStatement.Load => "load", _ => "accumulate" };
                    spans.Add(new SimulatedSpan(SimulatedKind.Kernel, "", name, clock, clock += time.Compute, 0));
                }
            }

            _under = under.ToDictionary(u => u.Key, u => u.Value with { Ready = u.Value.Ready - clock, Span = u.Value.Span with { Start = u.Value.Span.Start - clock, End = u.Value.Span.End - clock } });
            _free = free.Where(f => f.Value > clock).ToDictionary(f => f.Key, f => f.Value - clock);

            // The least is of the order as it is, or better.
            LeastTime least = hooks.Count > 0 || statements.Any(s => s is ProgramStatement.Start or ProgramStatement.Wait) ? _time.Least(_stage, _owner, statements, found, hooks) : new LeastTime(clock, 0, 0, 0);

            // The least is of the order as it is, or better. In a loop only all layers together say so: one may wait for what another has left on a link.
            return new Part(1, clock, loops ? least : least with { Seconds = Math.Min(clock, least.Seconds) }, spans.ToEquatable(), sums.ToEquatable(), waits.ToEquatable());
        }

        private static double Await(string ticket, double clock, Dictionary<string, UnderWay> under, List<SimulatedSpan> spans, List<ExposedCollective> waits)
        {
            if (!under.TryGetValue(ticket, out UnderWay communication))
            {
                return clock;
            }

            under.Remove(ticket);
            SimulatedSpan span = communication.Span;
            double exposed = Math.Max(0, span.End - clock);
            if (exposed > 0)
            {
                string why = Why(communication, clock);
                waits.Add(new ExposedCollective(span.Name, span.Lane, communication.Start.Reason, exposed, why));
                spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", span.Name, clock, clock = span.End, 0));
            }

            if (span.Seconds > 0)
            {
                spans.Add(span with { Exposed = exposed });
            }

            return clock;
        }

        /// <summary>Why a collective is not over when it is waited for. Chunks of one sum follow on each other on its link.</summary>
        private static string Why(UnderWay communication, double clock)
        {
            bool behind = communication.Span.Start > communication.Ready, beside = clock > communication.Ready;
            return communication.Start is { Chunk: > 0 } ? (behind || beside ? LongerThanWork : LastOfChunks) : behind ? BehindOthers : beside ? LongerThanWork : NothingBeside;
        }
    }
}
