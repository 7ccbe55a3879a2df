namespace Shardwright.Compiler.Pipelining;

/// <summary>What an action of a rank finds of the rank's actions before it. The runtime reads the same from the printed table.</summary>
/// <param name="Before">Position of the rank's action before it; −1 for none.</param>
/// <param name="From">Position of the last one before it that reads parameters, which gradients of weights alone do not; −1 for none.</param>
/// <param name="Stays">Whether that one is of the same stage: its windows are as it has left them.</param>
/// <param name="Turns">Whether it went the other way, too: it has ended with the layers that this one begins with.</param>
public readonly record struct ActionTurn(int Before, int From, bool Stays, bool Turns)
{
    /// <summary>Of each action of a rank.</summary>
    public static ImmutableArray<ActionTurn> Of(IReadOnlyList<StageAction> actions)
    {
        var turns = ImmutableArray.CreateBuilder<ActionTurn>(actions.Count);
        int from = -1;
        for (int at = 0; at < actions.Count; at++)
        {
            bool stays = from >= 0 && actions[from].Stage == actions[at].Stage;
            turns.Add(new ActionTurn(at - 1, from, stays, stays && IsForward(actions[from]) != IsForward(actions[at])));
            from = actions[at].Kind == ActionKind.WeightGradient ? from : at;
        }

        return turns.ToImmutable();
    }

    private static bool IsForward(StageAction action) => action.Kind == ActionKind.Forward;
}
