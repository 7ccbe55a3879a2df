using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Gradients on their way from a window into the shards. In a loop the sums of a layer are under way beside the next one's kernels, and the window of gradients is a ring of two slots;
/// those of the last layer are under way beside what comes after the loop in its action; and, where micro-batches follow on each other, beside the next one's forward.</summary>
internal sealed partial class EntryBuilder
{
    /// <summary>A sum over ranks; several of one window follow on each other.</summary>
    private readonly record struct ShardSum(CollectiveKind Kind, string Axis, OperandPlan Source, OperandPlan? Target, long Bytes);

    /// <summary>Which layer's sums are meant, seen from where a statement stands.</summary>
    /// <param name="Slot">Its slot.</param>
    /// <param name="Guard">Condition that there is one; null for always.</param>
    private readonly record struct Summed(SlotIndex Slot, LayerGuard? Guard);

    /// <summary>Whether the sums of a layer's gradients are awaited in the next one.</summary>
    private bool IsBehind(Piece piece, int group) => Slots(piece, group, isGradient: true) > 1;

    /// <summary>What comes after a loop in its action, and has work for its last sums to be under way beside.</summary>
    private Piece? After(Piece loop) => loop.Id + 1 < _pieces.Count && _pieces[loop.Id + 1] is { Stack: null, Steps.Count: > 0 } after && after.Phase == loop.Phase ? after : null;

    /// <summary>The loop whose last sums are under way beside a piece.</summary>
    private Piece? LoopBefore(Piece piece) => piece.Id > 0 && _pieces[piece.Id - 1] is { Stack: not null } loop && After(loop) == piece ? loop : null;

    /// <summary>Whether the sums of a loop's last layer are under way beside the next micro-batch.</summary>
    private bool IsCarried(Piece loop) => _entry == "Train" && _microBatches > 1 && loop.Phase == Phase.Whole && loop.Region.Region.IsBackward
        && WindowsOf(loop, isGradient: true).Where(w => IsBehind(loop, w.Number)).All(w => w.Group.Shards!.Before.Count == 0);

    private Summed Previous(Piece loop) => loop.Region.Region.IsBackward
        ? new Summed(SlotIndex.NextLayer, new LayerGuard(1, _graph.Layers[loop.Stack!.Id])) : new Summed(SlotIndex.PreviousLayer, new LayerGuard(-1, _graph.Layers[loop.Stack!.Id]));

    private static Summed Last(Piece loop) => new(loop.Region.Region.IsBackward ? SlotIndex.First : SlotIndex.FinalLayer, null);

    private List<ShardSum> Sums(ParameterGroup group, OperandPlan window)
    {
        ShardPlan shards = group.Shards!;
        long bytes = BufferPlan.Width(ElementOf(window)) * shards.Length;
        List<ShardSum> sums = shards.Before.Select(axis => new ShardSum(CollectiveKind.AllReduce, axis, window, null, ReshardCost.BytesPerRank(AxisOf(axis), Placement.Partial, Placement.Broadcast, bytes))).ToList();
        if (shards.Scatters)
        {
            sums.Add(new ShardSum(CollectiveKind.ReduceScatter, shards.Axis, window, IsDirect(group, window) ? group.Gradients : PartOf(group, window), ReshardCost.BytesPerRank(AxisOf(shards.Axis), Placement.Partial, Placement.Split(0), bytes)));
        }

        return sums;
    }

    /// <summary>Whether the last sum lands in the shards themselves.</summary>
    private bool IsDirect(ParameterGroup group, OperandPlan window) => group.Shards!.Scatters && _microBatches == 1 && ElementOf(window) == ElementOf(group.Gradients);

    private static OperandPlan PartOf(ParameterGroup group, OperandPlan window) => window with { Start = new Offset(0, EquatableArray.Of((group.Shards!.Axis, group.Shards.Share))), Length = group.Shards.Share };

    /// <summary>At the end of a region: what came before it is settled, and its own sums are made, or started in a loop.</summary>
    private void Scatter(Piece piece, List<ProgramStatement> result)
    {
        foreach ((Piece loop, Summed summed) in Pending(piece))
        {
            Settle(loop, summed, result, loop != piece && IsCarried(loop) ? MicroBatchGuard.Last : MicroBatchGuard.All);
        }

        EndPrevious(piece, result);
        foreach ((int number, ParameterGroup group, OperandPlan window) in WindowsOf(piece, isGradient: true))
        {
            bool behind = IsBehind(piece, number);
            OperandPlan own = behind ? window with { Slot = SlotIndex.Layer } : window;
            result.AddRange(group.Shards!.Gaps.Select(gap => new ProgramStatement.Clear(own with { Start = new Offset(gap.At, default), Length = gap.Length }, "between tensors")));
            List<ShardSum> sums = Sums(group, own);
            if (behind)
            {
                result.Add(Begin(piece, number, sums[0], new Summed(SlotIndex.Layer, null), "under way beside the next layer"));
                continue;
            }

            foreach (ShardSum sum in sums)
            {
                Collective(result, sum.Kind, sum.Axis, sum.Source, sum.Target, sum.Bytes, "gradients, " + group.Name);
            }

            if (!IsDirect(group, own))
            {
                result.Add(new ProgramStatement.Accumulate(group.Gradients, PartOf(group, own), group.Shards.Once, group.Name));
            }
        }
    }

    /// <summary>Sums that are under way beside a piece: of the layer before, or of the last layer of the loop before.</summary>
    private IEnumerable<(Piece Loop, Summed Summed)> Pending(Piece piece)
    {
        if (piece.Stack is not null && _graph.Layers[piece.Stack.Id] > 1)
        {
            yield return (piece, Previous(piece));
        }

        if (LoopBefore(piece) is { } loop)
        {
            yield return (loop, Last(loop));
        }
    }

    /// <summary>Between the steps of a piece: where sums follow on each other, each has an equal share of the steps to be under way beside.</summary>
    private void Advance(Piece piece, int step, List<ProgramStatement> result)
    {
        foreach ((Piece loop, Summed summed) in Pending(piece))
        {
            foreach ((int number, ParameterGroup group, OperandPlan window) in BehindOf(loop, loop != piece))
            {
                List<ShardSum> sums = Sums(group, window);
                for (int next = 1; next < sums.Count; next++)
                {
                    if (piece.Steps.Count * next / sums.Count == step)
                    {
                        result.Add(End(number, sums[next - 1], summed));
                        result.Add(Begin(loop, number, sums[next], summed, "of the layer before, under way beside this"));
                    }
                }
            }
        }
    }

    /// <summary>Right behind a loop, where nothing that comes after it in its action can hide its last sums.</summary>
    private void FinishAfter(Piece loop, List<ProgramStatement> main)
    {
        if (loop.Stack is null || After(loop) is not null)
        {
            return;
        }

        foreach ((int number, ParameterGroup group, OperandPlan window) in BehindOf(loop, last: true))
        {
            List<ShardSum> sums = Sums(group, window);
            for (int next = 1; next < sums.Count; next++)
            {
                main.Add(End(number, sums[next - 1], Last(loop)));
                main.Add(Begin(loop, number, sums[next], Last(loop), "of the last layer"));
            }
        }

        Settle(loop, Last(loop), main, IsCarried(loop) ? MicroBatchGuard.Last : MicroBatchGuard.All);
    }

    /// <summary>Right before a loop: its last sums of the micro-batch before.</summary>
    private void SettleCarried(Piece loop, List<ProgramStatement> main)
    {
        if (loop.Stack is not null && IsCarried(loop))
        {
            Settle(loop, Last(loop), main, MicroBatchGuard.NotFirst);
        }
    }

    /// <summary>Waits for the last sums of a layer, adds them to the shards, and gives up its slot.</summary>
    private void Settle(Piece loop, Summed summed, List<ProgramStatement> result, MicroBatchGuard on) => Settle(loop, summed, result, on, BehindOf(loop, summed.Guard is null));

    private void Settle(Piece loop, Summed summed, List<ProgramStatement> result, MicroBatchGuard on, IEnumerable<(int, ParameterGroup, OperandPlan)> windows)
    {
        foreach ((int number, ParameterGroup group, OperandPlan window) in windows)
        {
            result.Add(End(number, Sums(group, window).Last(), summed) with { On = on });
            if (!IsDirect(group, window))
            {
                result.Add(new ProgramStatement.Accumulate(At(loop, group.Gradients, summed), At(loop, PartOf(group, window), summed), group.Shards!.Once, group.Name)
                {
                    Guard = summed.Guard,
                    On = on,
                    IsOfPrevious = on == MicroBatchGuard.NotFirst,
                });
            }

            result.Add(new ProgramStatement.Dies(At(loop, window, summed), 0) { Guard = summed.Guard, On = on });
        }
    }

    private ProgramStatement Begin(Piece loop, int number, ShardSum sum, Summed summed, string beside) =>
        new ProgramStatement.Start(Scattered(number), sum.Kind, EquatableArray.Of(sum.Axis), At(loop, sum.Source, summed), sum.Target is { } target ? At(loop, target, summed) : null, sum.Bytes, "gradients, " + _groups[number].Name)
        {
            Guard = summed.Guard,
            Beside = beside,
        };

    private static ProgramStatement End(int number, ShardSum sum, Summed summed) => new ProgramStatement.Wait(Scattered(number), EquatableArray.Of(sum.Axis)) { Guard = summed.Guard };

    private OperandPlan At(Piece loop, OperandPlan operand, Summed summed) => operand with { Slot = summed.Slot, Layers = _graph.Layers[loop.Stack!.Id] };

    private static string Scattered(int group) => $"group{group}Scattered";
}
