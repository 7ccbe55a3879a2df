using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Statements that do the same for one chunk of rows after another: they are printed once, in a loop.</summary>
internal sealed class ChunkLoop
{
    private ChunkLoop(int count, int length, IReadOnlyList<(ProgramStatement, bool[])> once, IReadOnlyList<ProgramStatement> behind, IReadOnlyList<string> tickets)
    {
        Count = count;
        Length = length;
        Once = once;
        Behind = behind;
        Tickets = tickets;
    }

    /// <summary>Number of chunks.</summary>
    public int Count { get; }

    /// <summary>Statements that the loop stands for, with those that are moved behind it.</summary>
    public int Length { get; }

    /// <summary>Statements of the first chunk; of each operand, whether the next chunk has the elements behind.</summary>
    public IReadOnlyList<(ProgramStatement Statement, bool[] Moves)> Once { get; }

    /// <summary>Ends of memory between them: it may end later too.</summary>
    public IReadOnlyList<ProgramStatement> Behind { get; }

    /// <summary>Tickets of what is started, chunk by chunk; none where nothing is.</summary>
    public IReadOnlyList<string> Tickets { get; }

    /// <summary>Starts of chunks' collectives, by their tickets.</summary>
    /// <param name="statements">Statements of a method.</param>
    public static Dictionary<string, ProgramStatement.Start> Starts(EquatableArray<ProgramStatement> statements) =>
        statements.OfType<ProgramStatement.Start>().Where(s => s.Chunks > 1).ToDictionary(s => s.Ticket);

    /// <summary>The loop that begins at a statement; null for none.</summary>
    /// <param name="statements">Statements of a method.</param>
    /// <param name="starts">Its <see cref="Starts"/>.</param>
    /// <param name="at">The statement.</param>
    public static ChunkLoop? At(EquatableArray<ProgramStatement> statements, Dictionary<string, ProgramStatement.Start> starts, int at)
    {
        (int Chunk, int Chunks) Of(ProgramStatement statement) => statement switch
        {
            ProgramStatement.Run run => (run.Chunk, run.Chunks),
            ProgramStatement.Start start => (start.Chunk, start.Chunks),
            ProgramStatement.Wait wait when starts.TryGetValue(wait.Ticket, out ProgramStatement.Start? start) => (start.Chunk, start.Chunks),
            _ => (0, 1),
        };
        (int first, int count) = Of(statements[at]);
        if (first != 0 || count == 1)
        {
            return null;
        }

        var once = new List<ProgramStatement>();
        var behind = new List<ProgramStatement>();
        int next = at;
        for (; next < statements.Count && (statements[next] is ProgramStatement.Dies || Of(statements[next]) == (0, count)); next++)
        {
            (statements[next] is ProgramStatement.Dies ? behind : once).Add(statements[next]);
        }

        // One sum to a loop: its tickets have one name.
        if (once.Count == 0 || once.Count(s => s is not ProgramStatement.Run) > 1)
        {
            return null;
        }

        bool[][]? moves = null;
        var all = new List<ProgramStatement>(once);
        for (int chunk = 1; chunk < count; chunk++)
        {
            var later = new List<ProgramStatement>();
            for (; later.Count < once.Count && next < statements.Count && (statements[next] is ProgramStatement.Dies || Of(statements[next]) == (chunk, count)); next++)
            {
                (statements[next] is ProgramStatement.Dies ? behind : later).Add(statements[next]);
            }

            bool[][] moved = later.Zip(once, (l, f) => Moves(f, l)).ToArray();
            if (later.Count < once.Count || !once.Zip(later, (f, l) => Follows(f, l, chunk, starts)).All(f => f) || (moves is not null && !moves.Zip(moved, (x, y) => x.SequenceEqual(y)).All(e => e)))
            {
                return null;
            }

            moves = moved;
            all.AddRange(later);
        }

        return new ChunkLoop(count, next - at, once.Zip(moves!, (s, m) => (s, m)).ToList(), behind, all.OfType<ProgramStatement.Start>().Select(s => s.Ticket).ToList());
    }

    /// <summary>Whether a statement does for a later chunk what another does for the first.</summary>
    private static bool Follows(ProgramStatement first, ProgramStatement later, int chunk, Dictionary<string, ProgramStatement.Start> starts)
    {
        bool Same(ProgramStatement.Start a, ProgramStatement.Start b) => a.Kind == b.Kind && a.Axes == b.Axes && a.Reason == b.Reason && Operand(a.Source, b.Source) && a.Target is null && b.Target is null;
        bool Operand(OperandPlan a, OperandPlan b) => b == a || b == a with { Start = new Offset((a.Start?.Constant ?? 0) + chunk * a.Length, a.Start?.Terms ?? default) };
        return first.Guard is null && later.Guard is null && first.On == later.On && (first, later) switch
        {
            (ProgramStatement.Run a, ProgramStatement.Run b) => a.Kernel == b.Kernel && a.Operands.Zip(b.Operands, Operand).All(o => o),
            (ProgramStatement.Start a, ProgramStatement.Start b) => Same(a, b),
            (ProgramStatement.Wait a, ProgramStatement.Wait b) => Same(starts[a.Ticket], starts[b.Ticket]),
            _ => false,
        };
    }

    private static bool[] Moves(ProgramStatement first, ProgramStatement later) => (first, later) switch
    {
        (ProgramStatement.Run a, ProgramStatement.Run b) => a.Operands.Zip(b.Operands, (x, y) => x != y).ToArray(),
        (ProgramStatement.Start a, ProgramStatement.Start b) => new[] { a.Source != b.Source },
        _ => Array.Empty<bool>(),
    };
}
