using System.ComponentModel;
using System.Globalization;

namespace Shardwright.Execution;

/// <summary>What a line of a rank's table does.</summary>
internal enum PipelineVerb
{
    Run,
    StartReceive,
    WaitReceive,
    StartSend,
    WaitSend,
}

/// <summary>One line of a rank's table.</summary>
internal readonly record struct PipelineAction(PipelineVerb Verb, PipelinePhase Phase, int Stage, int MicroBatch, bool IsGradient)
{
    /// <summary>The word of an action that runs a stage, for traces: <c>0F2</c>.</summary>
    public string Label => string.Create(CultureInfo.InvariantCulture, $"{Stage}{Phase switch { PipelinePhase.Forward => 'F', PipelinePhase.Backward => 'B', PipelinePhase.InputGradient => 'I', _ => 'W' }}{MicroBatch}");
}

/// <summary>What a rank does in an entry, in order, and which blocks its micro-batches have: read from the notation in which schedules are printed.</summary>
/// <remarks>Words: <c>0F2</c> runs stage 0 forward on micro-batch 2 (B both gradients, I of the inputs, W of the parameters); <c>0RECV_F2</c> posts the receive of
/// its input, <c>0WAIT_RECV_F2</c> waits for it, <c>0SEND_F2</c> and <c>0WAIT_SEND_F2</c> likewise; B in place of F for gradients.
/// A line <c>stage 0 Kept: 0 1 0 1</c> gives the block of each micro-batch in a space.</remarks>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class PipelineActions
{
    private PipelineActions(PipelineAction[] actions, Dictionary<int, SlotSet[]> slots)
    {
        Actions = actions;
        Slots = slots;
        Runs = [.. Enumerable.Range(0, actions.Length).Where(i => actions[i].Verb == PipelineVerb.Run)];
        Turns = MakeTurns();
        int last = Array.FindLastIndex(actions, a => a.Verb != PipelineVerb.WaitSend);
        Late = actions[(last + 1)..];
    }

    internal PipelineAction[] Actions { get; }

    internal Dictionary<int, SlotSet[]> Slots { get; }

    /// <summary>Positions of the lines that run a stage.</summary>
    internal int[] Runs { get; }

    /// <summary>Waits for sends at its end.</summary>
    internal PipelineAction[] Late { get; }

    /// <summary>For each of them the blocks of its micro-batch, and what it finds of the rank's actions before.</summary>
    internal SlotSet[] Turns { get; }

    /// <summary>As the compiler has laid memory out for: parameters that one action has gathered are there for the next one of the stage, gradients of weights alone or none between.</summary>
    private SlotSet[] MakeTurns()
    {
        var turns = new SlotSet[Runs.Length];
        int from = -1;
        for (int i = 0; i < Runs.Length; i++)
        {
            PipelineAction action = Actions[Runs[i]];
            PipelineAction? gathered = from < 0 ? null : Actions[Runs[from]], before = i == 0 ? null : Actions[Runs[i - 1]];
            bool stays = gathered?.Stage == action.Stage, turned = stays && gathered!.Value.IsGradient != action.IsGradient;
            bool sums = action.Phase is PipelinePhase.Backward or PipelinePhase.WeightGradient, again = sums && before is { Phase: PipelinePhase.Backward or PipelinePhase.WeightGradient } && before.Value.Stage == action.Stage;

            // Two actions that repeat each other begin in the slot that the other has not ended with.
            turns[i] = Slots[action.Stage][action.MicroBatch] with
            {
                Stays = stays,
                Turns = turned,
                GatheredFrom = !stays ? 0 : turned ? turns[from].GatheredFrom : 1 - turns[from].GatheredFrom,
                SummedFrom = again ? 1 - turns[i - 1].SummedFrom : 0,
            };
            from = action.Phase == PipelinePhase.WeightGradient ? from : i;
        }

        return turns;
    }

    /// <summary>Reads a table.</summary>
    /// <param name="microBatches">Number of micro-batches.</param>
    /// <param name="text">Its text.</param>
    /// <exception cref="FormatException">A word means nothing.</exception>
    public static PipelineActions Parse(int microBatches, string text)
    {
        var actions = new List<PipelineAction>();
        var slots = new Dictionary<int, SlotSet[]>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (line.StartsWith("stage ", StringComparison.Ordinal))
            {
                string[] parts = line.Split(':');
                string[] name = parts[0].Split(' ');
                int stage = int.Parse(name[1], CultureInfo.InvariantCulture);
                if (!slots.TryGetValue(stage, out SlotSet[]? sets))
                {
                    slots[stage] = sets = new SlotSet[microBatches];
                }

                int[] numbers = [.. parts[1].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
                for (int m = 0; m < numbers.Length; m++)
                {
                    sets[m] = Set(sets[m], Enum.Parse<SlotKind>(name[2]), numbers[m]);
                }

                continue;
            }

            actions.AddRange(line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Word));
        }

        foreach (int stage in actions.Select(a => a.Stage).Distinct().Where(s => !slots.ContainsKey(s)))
        {
            slots[stage] = new SlotSet[microBatches];
        }

        foreach (IGrouping<int, PipelineAction> stage in actions.Where(a => a is { Verb: PipelineVerb.Run, Phase: PipelinePhase.Backward or PipelinePhase.WeightGradient }).GroupBy(a => a.Stage))
        {
            ref SlotSet last = ref slots[stage.Key][stage.Last().MicroBatch];
            last = last with { IsLast = true };
        }

        return new PipelineActions([.. actions], slots);
    }

    private static SlotSet Set(SlotSet set, SlotKind kind, int slot) => kind switch
    {
        SlotKind.Input => set with { Input = slot },
        SlotKind.Kept => set with { Kept = slot },
        SlotKind.Output => set with { Output = slot },
        SlotKind.GradientIn => set with { GradientIn = slot },
        SlotKind.GradientOut => set with { GradientOut = slot },
        _ => set with { Deferred = slot },
    };

    private static PipelineAction Word(string word)
    {
        int at = 0;
        while (at < word.Length && char.IsAsciiDigit(word[at]))
        {
            at++;
        }

        int end = word.Length;
        while (end > at && char.IsAsciiDigit(word[end - 1]))
        {
            end--;
        }

        if (at == 0 || end == word.Length)
        {
            throw new FormatException($"'{word}' is no action of a pipeline.");
        }

        int stage = int.Parse(word.AsSpan(0, at), CultureInfo.InvariantCulture), microBatch = int.Parse(word.AsSpan(end), CultureInfo.InvariantCulture);
        PipelineAction Run(PipelinePhase phase) => new(PipelineVerb.Run, phase, stage, microBatch, phase != PipelinePhase.Forward);
        PipelineAction Pass(PipelineVerb verb, bool gradient) => new(verb, default, stage, microBatch, gradient);
        return word[at..end] switch
        {
            "F" => Run(PipelinePhase.Forward),
            "B" => Run(PipelinePhase.Backward),
            "I" => Run(PipelinePhase.InputGradient),
            "W" => Run(PipelinePhase.WeightGradient),
            "RECV_F" => Pass(PipelineVerb.StartReceive, false),
            "RECV_B" => Pass(PipelineVerb.StartReceive, true),
            "WAIT_RECV_F" => Pass(PipelineVerb.WaitReceive, false),
            "WAIT_RECV_B" => Pass(PipelineVerb.WaitReceive, true),
            "SEND_F" => Pass(PipelineVerb.StartSend, false),
            "SEND_B" => Pass(PipelineVerb.StartSend, true),
            "WAIT_SEND_F" => Pass(PipelineVerb.WaitSend, false),
            "WAIT_SEND_B" => Pass(PipelineVerb.WaitSend, true),
            _ => throw new FormatException($"'{word}' is no action of a pipeline."),
        };
    }
}
