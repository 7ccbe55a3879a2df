using Shardwright.Compiler.Graph;

using System.Globalization;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Something in the text of a schedule that cannot be read.</summary>
/// <param name="Schedule">Name of the schedule.</param>
/// <param name="Rank">Rank whose text it is; −1 for the whole.</param>
/// <param name="Position">Position in that text, 0 first; −1 where it is no place in a text.</param>
/// <param name="Message">What is wrong, and the way out.</param>
public sealed record ScheduleTextError(string Schedule, int Rank, int Position, string Message)
{
    /// <summary>The whole message.</summary>
    public override string ToString() => $"schedule '{Schedule}'" + (Rank < 0 ? "" : $", rank {Rank}" + (Position < 0 ? "" : $", column {Position + 1}")) + ": " + Message;
}

/// <summary>Reads schedules that are written out: for each rank its actions with spaces between, <c>0F0 0F1 0B0 0B1</c>.</summary>
public static class ScheduleText
{
    /// <summary>Reads a schedule. The table that comes out is not yet checked to be a step.</summary>
    /// <param name="name">Name of the schedule.</param>
    /// <param name="ranks">Rank and actions, in any order of ranks.</param>
    /// <param name="shape">Ranks and micro-batches that are asked for; chunks follow from the stages that are found.</param>
    public static (ActionTable? Table, ScheduleTextError? Error) Parse(string name, IReadOnlyList<(int Rank, string Actions)> ranks, ScheduleShape shape)
    {
        ScheduleTextError Error(int rank, int position, string message) => new(name, rank, position, message);
        var actions = new List<StageAction>?[shape.Ranks];
        foreach ((int rank, string text) in ranks)
        {
            if (rank < 0 || rank >= shape.Ranks)
            {
                return (null, Error(-1, -1, $"it has actions for rank {rank}, and the pipeline axis has the ranks 0 to {shape.Ranks - 1}: leave them out, or make the axis {Math.Max(1, rank + 1)} long"));
            }

            if (actions[rank] is not null)
            {
                return (null, Error(rank, -1, "it has actions twice: put them into one text"));
            }

            actions[rank] = [];
            if (Read(text, actions[rank]!) is (int position, string message))
            {
                return (null, Error(rank, position, message));
            }
        }

        int missing = Array.FindIndex(actions, a => a is null);
        if (missing >= 0)
        {
            return (null, Error(-1, -1, $"it has no actions for rank {missing} of {shape.Ranks}: add [RankActions({missing}, \"…\")]"));
        }

        StageAction[] all = actions.SelectMany(a => a!).ToArray();
        int stages = all.Length == 0 ? 0 : all.Max(a => a.Stage) + 1;
        if (stages == 0 || stages > all.Length)
        {
            return (null, Error(-1, -1, stages == 0 ? "it has no actions: each stage and micro-batch needs F and B" : $"it names stage {stages - 1}, and has {all.Length} actions: number stages from 0 without gaps"));
        }

        int count = all.Max(a => a.MicroBatch) + 1;
        if (count != shape.MicroBatches)
        {
            return (null, Error(-1, -1, $"it has the micro-batches 0 to {count - 1}, and the model asks for {shape.MicroBatches}: set MicroBatches = {count}, or write the schedule for {shape.MicroBatches}"));
        }

        var rankOf = Enumerable.Repeat(-1, stages).ToArray();
        for (int rank = 0; rank < actions.Length; rank++)
        {
            foreach (StageAction action in actions[rank]!)
            {
                rankOf[action.Stage] = rankOf[action.Stage] < 0 ? rank : rankOf[action.Stage];
            }
        }

        int empty = Array.IndexOf(rankOf, -1);
        if (empty >= 0)
        {
            return (null, Error(-1, -1, $"no rank has stage {empty} of {stages}: number stages from 0 without gaps"));
        }

        int chunks = rankOf.GroupBy(r => r).Max(g => g.Count());
        return (new ActionTable(name, shape with { Chunks = chunks }, actions.Select(a => a!.ToEquatable()).ToEquatable(), rankOf.ToEquatable()), null);
    }

    private static (int Position, string Message)? Read(string text, List<StageAction> actions)
    {
        int at = 0;
        while (true)
        {
            while (at < text.Length && (char.IsWhiteSpace(text[at]) || text[at] == ','))
            {
                at++;
            }

            if (at == text.Length)
            {
                return null;
            }

            int start = at;
            while (at < text.Length && !char.IsWhiteSpace(text[at]) && text[at] != ',')
            {
                at++;
            }

            string word = text.Substring(start, at - start);
            int letter = word.IndexOfAny(['F', 'I', 'W', 'B']);
            if (letter <= 0 || !Number(word.Substring(0, letter), out int stage) || !Number(word.Substring(letter + 1), out int microBatch))
            {
                return (start, $"'{(word.Length > 24 ? word.Substring(0, 24) + "…" : word)}' is no action: write stage, one of F, I, W and B, and micro-batch, like 0F1");
            }

            actions.Add(new StageAction((ActionKind)"FIWB".IndexOf(word[letter]), stage, microBatch));
        }
    }

    private static bool Number(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < int.MaxValue;
}
