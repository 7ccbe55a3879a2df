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
    private LeastTime Least(StageProgram stage, EquatableArray<ProgramStatement> statements)
    {
        var movables = new Dictionary<int, Movable>();
        var waited = new Dictionary<int, Movable>();
        for (int at = 0; at < statements.Count; at++)
        {
            if (statements[at] is ProgramStatement.Start start)
            {
                int wait = WaitOf(statements, start.Ticket, at);
                Movable movable = Move(stage, statements, start, at, wait);
                movables[at] = movable;
                if (wait < statements.Count)
                {
                    waited[wait] = movable;
                }
            }
        }

        double clock = 0;
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

        double Longest(Func<Movable, bool> which) => movables.Values.Where(which).GroupBy(m => m.Lane).Select(g => g.Sum(m => m.Seconds)).DefaultIfEmpty(0).Max();
        return new LeastTime(Math.Max(clock, Longest(_ => true)), Longest(m => m.IsEarly && !m.IsAhead), Longest(m => m.IsEarly && m.IsAhead), Longest(m => m.IsLate));
    }

    private Movable Move(StageProgram stage, EquatableArray<ProgramStatement> statements, ProgramStatement.Start start, int at, int wait)
    {
        var own = new List<(int, SlotIndex)> { Key(start.Source) };
        if (start.Target is { } target)
        {
            own.Add(Key(target));
        }

        int after = -1;
        for (int i = 0; i < at; i++)
        {
            // Another collective has made it where its wait is.
            after = Touches(statements[i] is ProgramStatement.Wait other ? statements.Take(i).OfType<ProgramStatement.Start>().LastOrDefault(s => s.Ticket == other.Ticket) : statements[i]) ? i : after;
        }

        int[] uses = Enumerable.Range(0, statements.Count).Where(i => i > wait && statements[i] is not (ProgramStatement.Start or ProgramStatement.Wait or ProgramStatement.Dies) && Touches(statements[i])).ToArray();
        return new Movable(string.Join("+", start.Axes), Of(stage, start).Communication, after, uses.Length == 0 ? statements.Count : uses[0])
        {
            IsAhead = wait == statements.Count,
            IsEarly = after < 0 && stage.Buffers[start.Source.Buffer] is { Space: MemorySpace.State, Category: MemoryCategory.Parameters },
            IsLate = uses.All(i => statements[i] is ProgramStatement.Accumulate) && start.Kind is CollectiveKind.ReduceScatter or CollectiveKind.AllReduce
                && (uses.Length > 0 || stage.Buffers[(start.Target ?? start.Source).Buffer].Category == MemoryCategory.Gradients),
        };

        bool Touches(ProgramStatement? statement) => statement is not null && Operands(statement).Any(o => own.Contains(Key(o)));
    }

    private static int WaitOf(EquatableArray<ProgramStatement> statements, string ticket, int from)
    {
        for (int i = from + 1; i < statements.Count; i++)
        {
            if (statements[i] is ProgramStatement.Wait wait && wait.Ticket == ticket)
            {
                return i;
            }
        }

        return statements.Count;
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
