using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Windows that span the actions of a rank in a pipeline. The first layer that an action reads is gathered beside the last layer of the rank's action before, whatever that is; the sums of the
/// last layer of an action end beside the first layer of the rank's next one. Which these are stands in the rank's table: a stage's methods say where within them it is done, and what each of its actions
/// starts (<see cref="PhasePlan.Opening"/>) and ends (<see cref="PhasePlan.Closing"/>). Where forward is followed by backward of the same stage, or the other way round, both loops begin with the layers
/// that the other has ended with, and find them in the ring that they share.</summary>
internal sealed partial class EntryBuilder
{
    /// <summary>Whether a loop's first layer is gathered beside the action before: the first loop of an action that reads parameters.</summary>
    private bool IsOpened(Piece loop, int group) => _spans && loop.Stack is not null && loop.Phase is Phase.Forward or Phase.Backward or Phase.InputGradient
        && IsOfLayers(loop, group) && Loops(loop.Phase).First() == loop;

    /// <summary>Whether the sums of a loop's last layer end beside the next action: the last loop of an action that ends a micro-batch.</summary>
    private bool IsClosed(Piece loop, int group) => _spans && loop.Stack is not null && loop.Phase is Phase.Backward or Phase.WeightGradient
        && IsOfLayers(loop, group) && _groups[group].Shards is { Scatters: true } shards && shards.Before.Count == 0 && Loops(loop.Phase).Last() == loop;

    private IEnumerable<Piece> Loops(Phase phase) => _pieces.Where(p => p.Phase == phase && p.Stack is not null && p.Steps.Count > 0);

    /// <summary>What tells an opened loop that its first layers are in their ring; null where they never are. They are where both directions run the same layers, alone in their actions, and read the group.</summary>
    private RingFind? FindOf(Piece loop, int group)
    {
        if (!IsOpened(loop, group))
        {
            return null;
        }

        Piece? Only(Phase phase) => Loops(phase).Take(2).ToArray() is { Length: 1 } one && one[0].Stack == loop.Stack && Reads(one[0], group) ? one[0] : null;
        bool both = Only(Phase.Forward) is not null && (Only(Phase.Backward) ?? Only(Phase.InputGradient)) is not null;
        return !both ? null : _graph.Layers[loop.Stack!.Id] > 2 ? RingFind.Turns : RingFind.Stays;
    }

    /// <summary>Whether a region reads parameters of a group that are gathered for it.</summary>
    private bool Reads(Piece piece, int group) => _gathered.Any(g => g.Value.Group == group && _uses.TryGetValue(g.Key, out List<(int Region, int Position)>? uses) && uses.Any(u => Math.Max(0, u.Region) == piece.Id));

    private static LayerGuard Unfound(LayerGuard guard, RingFind by) => guard with { SecondIsLater = true, By = by };

    /// <summary>Groups whose sums are awaited behind a layer of a loop.</summary>
    /// <param name="loop">The loop.</param>
    /// <param name="last">Whether behind its last layer, within the same action.</param>
    private IEnumerable<(int Number, ParameterGroup Group, OperandPlan Window)> BehindOf(Piece loop, bool last) =>
        WindowsOf(loop, isGradient: true).Where(w => IsBehind(loop, w.Number) && !(last && IsClosed(loop, w.Number)));

    /// <summary>In the last layer of an action, or in its last region where that gathers too or there is no layer: from here on the next one's parameters are under way.</summary>
    private void StartNext(Piece piece, List<ProgramStatement> result)
    {
        if (_spans && _groups.Any(g => g.Shards is { Stage: > 2 }) && Last(piece.Phase) == piece)
        {
            result.Add(new ProgramStatement.StartNext { Guard = End(piece, piece.Region.Region.IsBackward ? -1 : 1) });
        }
    }

    private Piece? Last(Phase phase)
    {
        Piece? last = _pieces.LastOrDefault(p => p.Phase == phase && p.Steps.Count > 0), loop = Loops(phase).LastOrDefault();
        return loop is null || _pieces.Any(p => p.Phase == phase && p.Id > loop.Id && WindowsOf(p, isGradient: false).Any()) ? last : loop;
    }

    /// <summary>At the end of the first layer of an action, or of its first region where there is no layer.</summary>
    private void EndPrevious(Piece piece, List<ProgramStatement> result)
    {
        if (_spans && (Loops(piece.Phase).FirstOrDefault() ?? _pieces.FirstOrDefault(p => p.Phase == piece.Phase && p.Steps.Count > 0)) == piece)
        {
            result.Add(new ProgramStatement.EndPrevious { Guard = End(piece, piece.Region.Region.IsBackward ? 1 : -1) });
        }
    }

    /// <summary>A condition for the layer that has no neighbour in one direction; null outside of loops, and where there is one layer.</summary>
    private LayerGuard? End(Piece piece, int offset) => piece.Stack is { } stack && _graph.Layers[stack.Id] is > 1 and var layers ? new LayerGuard(offset, layers) { IsNot = true } : null;

    /// <summary>What an action starts beside the one before.</summary>
    private EquatableArray<ProgramStatement> Opening(Phase phase)
    {
        var result = new List<ProgramStatement>();
        if (_spans && Loops(phase).FirstOrDefault() is { } loop)
        {
            StartGathers(
                loop, loop.Region.Region.IsBackward ? SlotIndex.FinalLayer : SlotIndex.First, "of the first layer, under way beside the action before", result,
                group => (null, MicroBatchGuard.All, IsOpened(loop, group)), group => FindOf(loop, group));
        }

        return result.ToEquatable();
    }

    /// <summary>What an action leaves to end beside the next one.</summary>
    private EquatableArray<ProgramStatement> Closing(Phase phase)
    {
        var result = new List<ProgramStatement>();
        if (_spans && Loops(phase).LastOrDefault() is { } loop)
        {
            Settle(loop, Last(loop), result, MicroBatchGuard.All, WindowsOf(loop, isGradient: true).Where(w => IsClosed(loop, w.Number)));
        }

        return result.ToEquatable();
    }
}
