using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>The least that an order of statements must wait for its communication.</summary>
internal sealed partial class StepTime
{
    /// <summary>Time of statements whose collectives start as early, and are waited for as late, as what they carry allows.</summary>
    /// <param name="Seconds">Once of many times, one after another.</param>
    /// <param name="Fill">Time of collectives that only the time before these statements can hide: parameters that are gathered for them.</param>
    /// <param name="Ahead">Time of those that are gathered for what follows.</param>
    /// <param name="Drain">Time of collectives that only the time after them can hide: gradients that nothing here reads.</param>
    internal readonly record struct LeastTime(double Seconds, double Fill, double Ahead, double Drain);

    /// <summary>A collective among statements.</summary>
    /// <param name="After">Statement that makes what it sends; −1 for none of these.</param>
    /// <param name="Before">First statement that needs what it brings, or overwrites what it sends; their number for none.</param>
    private sealed record Movable(string Lane, double Seconds, int After, int Before)
    {
        /// <summary>What it sends is there before the step begins.</summary>
        public bool IsEarly { get; init; }

        /// <summary>It is waited for elsewhere.</summary>
        public bool IsAhead { get; init; }

        /// <summary>What it brings is read by nothing but the sum of gradients.</summary>
        public bool IsLate { get; init; }

        public double End { get; set; }
    }

    /// <summary>Kernels keep their order; each collective takes its lane as soon as what it sends is made, and is waited for in front of the first statement that needs it. Those that neither wait for
    /// nor are waited for by these statements run beside any of them: they cost time only where a lane has more to carry than there is to compute.</summary>
    /// <param name="stage">Their stage.</param>
    /// <param name="statements">The statements.</param>
    /// <param name="owner">Whose action they are part of.</param>
    /// <param name="under">What others have started.</param>
    /// <param name="hooks">What they start or end of the rank's neighbouring actions.</param>
    private LeastTime Least(StageProgram stage, string owner, EquatableArray<ProgramStatement> statements, IReadOnlyDictionary<string, UnderWay> under, IReadOnlyList<Hook> hooks)
    {
        var table = new StatementTable(statements);
        var movables = new Dictionary<int, Movable>();
        var waited = new Dictionary<int, Movable>();
        for (int at = 0; at < statements.Count; at++)
        {
            if (statements[at] is ProgramStatement.Start start)
            {
                int wait = table.WaitOf(start.Ticket, at);
                Movable movable = Move(stage, table, start, at, wait);
                movables[at] = movable;
                if (wait < statements.Count)
                {
                    waited[wait] = movable;
                }
            }
        }

        double clock = hooks.Sum(h => h.Statements.Sum(s => Of(h.Stage, s).Compute));
        var free = new Dictionary<string, double>();
        var bound = movables.Values.Where(m => !m.IsEarly && !m.IsLate).ToLookup(m => m.Before);
        var from = movables.OrderBy(m => m.Key).Select(m => m.Value).Where(m => !m.IsEarly && !m.IsLate).ToLookup(m => m.After);
        for (int at = -1; at <= statements.Count; at++)
        {
            foreach (Movable needed in bound[at])
            {
                clock = Math.Max(clock, needed.End);
            }

            clock += at >= 0 && at < statements.Count ? Of(stage, statements[at]).Compute : 0;
            double made = waited.TryGetValue(at, out Movable? brings) ? Math.Max(clock, brings.End) : clock;
            foreach (Movable ready in from[at])
            {
                double taken = free.TryGetValue(ready.Lane, out double since) ? since : 0;
                free[ready.Lane] = ready.End = Math.Max(made, taken) + ready.Seconds;
            }
        }

        static double Most(IEnumerable<Movable> all) => all.GroupBy(m => m.Lane).Select(g => g.Sum(m => m.Seconds)).DefaultIfEmpty(0).Max();
        double Longest(Func<Movable, bool> which) => Most(movables.Values.Where(which));

        // Sums that are waited for elsewhere run beside what is there; those of another layer run beside this one.
        IEnumerable<string> elsewhere = Enumerable.Range(0, statements.Count).Where(at => !waited.ContainsKey(at)).Select(at => statements[at]).OfType<ProgramStatement.Wait>().Select(w => owner + w.Ticket)
            .Concat(hooks.SelectMany(h => h.Statements.OfType<ProgramStatement.Wait>().Select(w => h.Owner + w.Ticket)));
        List<Movable> beside = elsewhere.Select(ticket => under.TryGetValue(ticket, out UnderWay communication) ? communication : default).Where(u => u.Start is { Kind: CollectiveKind.ReduceScatter or CollectiveKind.AllReduce })
            .Select(u => new Movable(u.Span.Lane, u.Span.Seconds, -1, -1)).ToList();
        List<Movable> ahead = hooks.SelectMany(h => h.Statements.OfType<ProgramStatement.Start>().Select(s => new Movable(string.Join("+", s.Axes), Of(h.Stage, s).Communication, -1, statements.Count) { IsEarly = true, IsAhead = true })).ToList();
        for (int i = 0; i < ahead.Count; i++)
        {
            movables[statements.Count + i] = ahead[i];
        }

        return new LeastTime(Math.Max(clock, Most(movables.Values.Where(m => !m.IsLate || !m.IsAhead).Concat(beside))), Longest(m => m.IsEarly && !m.IsAhead), Longest(m => m.IsEarly && m.IsAhead), Longest(m => m.IsLate));
    }

    private Movable Move(StageProgram stage, StatementTable table, ProgramStatement.Start start, int at, int wait)
    {
        OperandPlan[] own = Operands(start).ToArray();
        int after = own.Max(o => table.LastMade(o, at));
        List<int> uses = own.SelectMany(o => table.UsesAfter(o, wait)).Distinct().OrderBy(i => i).ToList();
        return new Movable(string.Join("+", start.Axes), Of(stage, start).Communication, after, uses.Count == 0 ? table.Count : uses[0])
        {
            IsAhead = wait == table.Count,
            IsEarly = after < 0 && stage.Buffers[start.Source.Buffer] is { Space: MemorySpace.State, Category: MemoryCategory.Parameters },
            IsLate = uses.All(table.IsSum) && start.Kind is CollectiveKind.ReduceScatter or CollectiveKind.AllReduce
                && (uses.Count > 0 || stage.Buffers[(start.Target ?? start.Source).Buffer].Category == MemoryCategory.Gradients),
        };
    }

    /// <summary>Which statements touch which memory.</summary>
    private sealed class StatementTable
    {
        private readonly EquatableArray<ProgramStatement> _statements;
        private readonly Dictionary<(int, SlotIndex), List<Place>> _made = new();
        private readonly Dictionary<(int, SlotIndex), List<Place>> _used = new();
        private readonly Dictionary<string, List<Place>> _waits = new();

        public StatementTable(EquatableArray<ProgramStatement> statements)
        {
            _statements = statements;
            var started = new Dictionary<string, ProgramStatement.Start>();
            for (int i = 0; i < statements.Count; i++)
            {
                if (statements[i] is ProgramStatement.Wait wait)
                {
                    List(_waits, wait.Ticket).Add(new Place(i, s_none));

                    // Another collective has made it where its wait is.
                    if (started.TryGetValue(wait.Ticket, out ProgramStatement.Start? other))
                    {
                        Add(_made, Operands(other), i);
                    }
                }
                else if (statements[i] is ProgramStatement.Start start)
                {
                    started[start.Ticket] = start;
                    Add(_made, Operands(start), i);
                }
                else
                {
                    Add(_made, Operands(statements[i]), i);
                    Add(_used, Operands(statements[i]), i);
                }
            }
        }

        public int Count => _statements.Count;

        public bool IsSum(int at) => _statements[at] is ProgramStatement.Accumulate;

        /// <summary>The last statement before one that touches an operand; −1 for none.</summary>
        public int LastMade(OperandPlan operand, int before)
        {
            List<Place> places = Of(_made, operand);
            int last = First(places, before) - 1;
            while (last >= 0 && !places[last].Touches(operand))
            {
                last--;
            }

            return last < 0 ? -1 : places[last].At;
        }

        /// <summary>Statements behind one that touch an operand.</summary>
        public IEnumerable<int> UsesAfter(OperandPlan operand, int after) => Of(_used, operand) is var places
            ? places.Skip(First(places, after + 1)).Where(p => p.Touches(operand)).Select(p => p.At) : Enumerable.Empty<int>();

        /// <summary>The wait behind a start; the number of statements for none.</summary>
        public int WaitOf(string ticket, int from) => _waits.TryGetValue(ticket, out List<Place>? places) && First(places, from + 1) is var next && next < places.Count ? places[next].At : Count;

        /// <summary>Position of the first place that is no lower; the number of places for none.</summary>
        private static int First(List<Place> places, int at)
        {
            int from = 0, to = places.Count;
            while (from < to)
            {
                int middle = (from + to) / 2;
                (from, to) = places[middle].At < at ? (middle + 1, to) : (from, middle);
            }

            return from;
        }

        private static List<Place> Of(Dictionary<(int, SlotIndex), List<Place>> table, OperandPlan operand) => table.TryGetValue(Key(operand), out List<Place>? places) ? places : s_nowhere;

        private static void Add(Dictionary<(int, SlotIndex), List<Place>> table, IEnumerable<OperandPlan> operands, int at)
        {
            foreach (OperandPlan operand in operands)
            {
                List(table, Key(operand)).Add(new Place(at, operand));
            }
        }

        private static List<Place> List<TKey>(Dictionary<TKey, List<Place>> table, TKey key)
            where TKey : notnull
        {
            if (!table.TryGetValue(key, out List<Place>? list))
            {
                table[key] = list = new List<Place>();
            }

            return list;
        }

        private static readonly List<Place> s_nowhere = new();
        private static readonly OperandPlan s_none = new(-1, SlotIndex.None, null, 0, 0);
    }

    /// <summary>A statement that touches an operand.</summary>
    private readonly record struct Place(int At, OperandPlan Operand)
    {
        /// <summary>Whether the two have elements in common; where they lie depends on the rank for some, which may be anywhere.</summary>
        public bool Touches(OperandPlan other) => Operand.Start is { IsConstant: false } || other.Start is { IsConstant: false }
            || (From(Operand) < From(other) + other.Length && From(other) < From(Operand) + Operand.Length);

        private static long From(OperandPlan operand) => operand.Start?.Constant ?? 0;
    }

    private static (int, SlotIndex) Key(OperandPlan operand) => (operand.Buffer, operand.Slot);

    private static IEnumerable<OperandPlan> Operands(ProgramStatement statement) => statement switch
    {
        ProgramStatement.Run run => run.Operands,
        ProgramStatement.Start start => start.Target is { } target ? new[] { start.Source, target } : new[] { start.Source },
        ProgramStatement.Zero zero => new[] { zero.Operand },
        ProgramStatement.Load load => new[] { load.Operand },
        ProgramStatement.AddLoss loss => new[] { loss.Operand },
        ProgramStatement.Clear clear => new[] { clear.Operand },
        ProgramStatement.Accumulate sum => new[] { sum.Gradient, sum.Contribution },
        _ => Array.Empty<OperandPlan>(),
    };
}
