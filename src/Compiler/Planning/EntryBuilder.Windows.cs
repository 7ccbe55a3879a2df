using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What of ZeRO happens within a micro-batch. Gradients of which only shards are kept are made in a window of one bucket, and summed into the shards when the
/// region that completes them ends; parameters of which only shards are kept are gathered into a window where a region begins that reads them. Windows live no longer than that.
/// In a loop over layers the windows are rings of two slots: the next layer's parameters are gathered, and the last layer's gradients summed over ranks, beside the current one's kernels.
/// Where a program runs forward and backward one after another, both loops of a stack share one ring: backward begins with the layers that forward has left there, and forward with those of the
/// micro-batch before.</summary>
internal sealed partial class EntryBuilder
{
    private readonly Dictionary<LocalTensor, ParameterPlan> _gathered = new();
    private readonly SortedDictionary<(int Piece, int Group, bool IsGradient), Storage> _windows = new();
    private int _current;

    private Storage Window(int piece, int group, bool isGradient)
    {
        if (!isGradient && IsOpened(_pieces[piece], group) && _windows.FirstOrDefault(w => w.Key.Group == group && !w.Key.IsGradient && IsOpened(_pieces[w.Key.Piece], group) && _pieces[w.Key.Piece].Stack == _pieces[piece].Stack).Value is { } opened)
        {
            _windows[(piece, group, isGradient)] = opened;
        }
        else if (!isGradient && Shares(_pieces[piece], group) && _windows.FirstOrDefault(w => w.Key.Group == group && !w.Key.IsGradient && _pieces[w.Key.Piece].Stack == _pieces[piece].Stack).Value is { } ring)
        {
            _windows[(piece, group, isGradient)] = ring;
        }

        if (!_windows.TryGetValue((piece, group, isGradient), out Storage? window))
        {
            string what = isGradient ? "Gradient" : "Parameter", of = _groups[group].Buckets > 1 ? ", of one layer" : "";
            int slots = Slots(_pieces[piece], group, isGradient);
            string gathered = slots > 1 ? "gathered, the next beside it" : "gathered", summed = slots > 1 ? "until they are summed into shards, beside the next layer" : "until they are summed into shards";
            bool spans = isGradient ? IsClosed(_pieces[piece], group) : IsOpened(_pieces[piece], group);
            gathered += spans ? ", the first beside the action before" : "";
            summed += spans ? " or action" : "";
            _windows[(piece, group, isGradient)] = window = new Storage($"group{group}{what}Window", new TensorType(ElementOf(_groups[group].Parameters), EquatableArray.Of(_groups[group].Shards!.Length)), slots, $"{_groups[group].Name}{of}: {(isGradient ? summed : gathered)}")
            {
                Category = isGradient ? MemoryCategory.Gradients : MemoryCategory.Parameters,
                Space = !spans ? null : isGradient ? MemorySpace.Summed : MemorySpace.Gathered,
                Alternates = spans && slots > 1 && _graph.Layers[_pieces[piece].Stack!.Id] % 2 == 1,
            };
            _storages.Add(window);
        }

        return window;
    }

    private void PlaceInWindow(ParameterPlan plan, Value parameter, LocalTensor gradient)
    {
        Piece piece = PieceOf(gradient);
        Storage window = Window(piece.Id, plan.Group, isGradient: true);
        SlotIndex slot = window.Slots > 1 ? SlotIndex.Layer : SlotIndex.None;
        LocalTensor root = gradient.Root;

        // The sum over ranks overwrites the window: what is read again afterwards, or by others, has memory of its own.
        bool own = root.Local.Element == window.Type.Element && root.Region == piece.Id && root.Stack == parameter.Stack && !_homes.ContainsKey(root) && !_fixed.ContainsKey(root) && !_gathered.ContainsKey(root)
            && IsWhole(gradient) && _writes.ContainsKey(root) && !_departures.Contains(root) && _uses[root].All(u => u.Region == piece.Id);
        if (own)
        {
            _homes[root] = new Home(window, slot, 0, plan.At);
        }
        else
        {
            Copy(gradient, piece, window, slot, 0, plan.At);
        }
    }

    /// <summary>One window for each region and bucket that it reads.</summary>
    private void PlaceGathered()
    {
        foreach (KeyValuePair<LocalTensor, ParameterPlan> parameter in _gathered)
        {
            foreach ((int region, int position) in _uses.TryGetValue(parameter.Key, out List<(int Region, int Position)>? uses) ? uses : new List<(int, int)>())
            {
                Piece piece = _pieces[Math.Max(0, region)];
                Storage window = Window(piece.Id, parameter.Value.Group, isGradient: false);
                Piece? before = IsOfLayers(piece, parameter.Value.Group) ? Before(piece) : null;
                window.Touch((before ?? piece).Start, window.Slots > 1 ? piece.End : position);
                if (IsKept && Shares(piece, parameter.Value.Group))
                {
                    window.Touch(0, _pieces[_pieces.Count - 1].End);
                }
            }
        }
    }

    private IEnumerable<Home> GatheredHomes => _windows.Where(w => !w.Key.IsGradient && w.Value.Space is null && !(IsKept && Shares(_pieces[w.Key.Piece], w.Key.Group))).Select(w => new Home(w.Value, SlotIndex.Layer, 0));

    /// <summary>Whether each layer of a loop has its own bucket of a group.</summary>
    private bool IsOfLayers(Piece piece, int group) => piece.Stack is { } stack && _parameters.Values.Any(p => p.Group == group && p.Stack == stack.Id);

    /// <summary>Slots of a window. Even one layer has two where it is gathered, or summed, beside an action that has the same layer in the other.</summary>
    private int Slots(Piece piece, int group, bool isGradient) => (isGradient ? IsClosed(piece, group) : IsOpened(piece, group) && FindOf(piece, group) is null) ? 2 : IsOfLayers(piece, group) && (!isGradient || _groups[group].Shards!.Scatters) ? Math.Min(2, _graph.Layers[piece.Stack!.Id]) : 1;

    /// <summary>Whether a loop shares the ring of a group's parameters with the loop of the other direction.</summary>
    private bool Shares(Piece piece, int group) => _entry == "Train" && piece.Phase == Phase.Whole && piece.Stack is { } stack && _graph.Layers[stack.Id] > 1 && IsOfLayers(piece, group)
        && _pieces.Where(p => p.Stack == stack).Select(p => p.Region.Region.IsBackward).SequenceEqual(s_thereAndBack);

    private static readonly bool[] s_thereAndBack = { false, true };

    /// <summary>Where its contents are those of the micro-batch before.</summary>
    private bool IsKept => _microBatches > 1;

    /// <summary>A condition whose second part is that of the micro-batches that find layers in their ring.</summary>
    private LayerGuard Later(LayerGuard guard) => IsKept ? guard with { SecondIsLater = true } : guard with { Second = 0 };

    /// <summary>Micro-batches for which the first layer of a loop is gathered; null where it is in its ring.</summary>
    private MicroBatchGuard? Gathers(Piece loop, int group) =>
        !Shares(loop, group) ? MicroBatchGuard.All : loop.Region.Region.IsBackward ? null : IsKept ? MicroBatchGuard.First : MicroBatchGuard.All;

    /// <summary>What comes before a loop in its action, and has work for its first gather to be under way beside.</summary>
    private Piece? Before(Piece loop) => loop.Id > 0 && _pieces[loop.Id - 1] is { Stack: null, Steps.Count: > 0 } before && before.Phase == loop.Phase ? before : null;

    private void TouchWindows()
    {
        foreach (KeyValuePair<(int Piece, int Group, bool IsGradient), Storage> window in _windows)
        {
            Piece piece = _pieces[window.Key.Piece];
            window.Value.Phases |= 1 << (int)piece.Phase;
            if (window.Key.IsGradient)
            {
                window.Value.Touch(piece.End, ((window.Value.Slots > 1 ? After(piece) : null) ?? piece).End);
                if (IsBehind(piece, window.Key.Group) && IsCarried(piece))
                {
                    window.Value.Touch(0, _pieces[_pieces.Count - 1].End);
                }
            }
        }
    }

    private IEnumerable<(int Number, ParameterGroup Group, OperandPlan Window)> WindowsOf(Piece piece, bool isGradient) => _windows.Where(w => w.Key.Piece == piece.Id && w.Key.IsGradient == isGradient)
        .Select(w => (w.Key.Group, _groups[w.Key.Group], new OperandPlan(w.Value.Buffer, SlotIndex.None, null, w.Value.Type.Count, 0)));

    private IEnumerable<(int Number, ParameterGroup Group, OperandPlan Window)> RingsOf(Piece piece, bool isGradient) => WindowsOf(piece, isGradient).Where(w => IsOfLayers(piece, w.Number));

    /// <summary>Waits for what a region reads, and starts what the next layer, or the loop that follows, reads.</summary>
    private void Gather(Piece piece, List<ProgramStatement> result)
    {
        foreach ((int number, ParameterGroup group, OperandPlan window) in WindowsOf(piece, isGradient: false))
        {
            if (IsOfLayers(piece, number))
            {
                // In a shared ring backward finds the last two layers, and later micro-batches the first two; the first one is awaited before the loop.
                bool shares = Shares(piece, number), backward = piece.Region.Region.IsBackward;
                int layersOf = _graph.Layers[piece.Stack!.Id];
                if (!shares || !backward || layersOf > 2)
                {
                    result.Add(new ProgramStatement.Wait(Gathered(piece, number), EquatableArray.Of(group.Shards!.Axis)) { Guard = FindOf(piece, number) is { } by ? Unfound(new LayerGuard(0, layersOf, backward ? 2 : -2), by) : !shares ? null : backward ? new LayerGuard(2, layersOf) : Later(new LayerGuard(-1, layersOf, -2)) });
                }
            }
            else
            {
                Collective(result, CollectiveKind.AllGather, group.Shards!.Axis, group.Parameters, window, group.Shards.GatherBytes, "parameters, " + group.Name);
            }
        }

        int layers = piece.Stack is { } stack ? _graph.Layers[stack.Id] : 1;
        if (layers > 1)
        {
            bool backward = piece.Region.Region.IsBackward;
            StartGathers(
                piece, backward ? SlotIndex.PreviousLayer : SlotIndex.NextLayer, "of the next layer, under way beside this one", result,
                group => FindOf(piece, group) is { } by ? (Unfound(new LayerGuard(backward ? -1 : 1, layers, backward ? 1 : -1), by), MicroBatchGuard.All, true)
                    : !Shares(piece, group) ? (new LayerGuard(backward ? -1 : 1, layers), MicroBatchGuard.All, true)
                    : backward ? (new LayerGuard(-1, layers, 1), MicroBatchGuard.All, layers > 2) : (Later(new LayerGuard(1, layers, -1)), MicroBatchGuard.All, true));
        }

        if (piece.Id + 1 < _pieces.Count && _pieces[piece.Id + 1] is { Stack: not null } loop && Before(loop) == piece)
        {
            StartFirst(loop, "of the first layer, under way beside what comes before", result);
        }

        StartNext(piece, result);
    }

    /// <summary>Right before a loop: its first gather, where nothing that comes before it in its action can hide it; the wait for it, where only some micro-batches gather it.</summary>
    private void StartBefore(Piece piece, List<ProgramStatement> main)
    {
        if (piece.Stack is null)
        {
            return;
        }

        if (Before(piece) is null)
        {
            StartFirst(piece, "of the first layer", main);
        }

        foreach ((int number, ParameterGroup group, OperandPlan _) in RingsOf(piece, isGradient: false).Where(r => Shares(piece, r.Number)))
        {
            if (Gathers(piece, number) is { } on)
            {
                main.Add(new ProgramStatement.Wait(Gathered(piece, number), EquatableArray.Of(group.Shards!.Axis)) { On = on });
            }
        }
    }

    private void StartFirst(Piece loop, string beside, List<ProgramStatement> result) =>
        StartGathers(loop, loop.Region.Region.IsBackward ? SlotIndex.FinalLayer : SlotIndex.First, beside, result, group => (null, Gathers(loop, group) ?? MicroBatchGuard.All, !IsOpened(loop, group) && Gathers(loop, group) is not null));

    private void StartGathers(Piece loop, SlotIndex slot, string beside, List<ProgramStatement> result, Func<int, (LayerGuard? Guard, MicroBatchGuard On, bool Is)> when, Func<int, RingFind?>? unless = null)
    {
        int layers = _graph.Layers[loop.Stack!.Id];
        foreach ((int number, ParameterGroup group, OperandPlan window) in RingsOf(loop, isGradient: false).Where(r => when(r.Number).Is))
        {
            OperandPlan At(OperandPlan operand) => operand with { Slot = slot, Layers = layers };
            (LayerGuard? guard, MicroBatchGuard on, bool _) = when(number);
            result.Add(new ProgramStatement.Start(Gathered(loop, number), CollectiveKind.AllGather, EquatableArray.Of(group.Shards!.Axis), At(group.Parameters), At(window), group.Shards.GatherBytes, "parameters, " + group.Name)
            {
                Guard = guard,
                On = on,
                Unless = unless?.Invoke(number),
                Beside = beside,
            });
        }
    }

    /// <summary>Ticket of the gathers of a loop. A later loop of an action may gather while the next action's first layer is under way.</summary>
    private string Gathered(Piece loop, int group) => $"group{group}Gathered" + (_spans && !IsOpened(loop, group) ? loop.Phase.ToString() : "");

    private DType ElementOf(OperandPlan operand) => _buffers[operand.Buffer].Element;

    private ShardAxis AxisOf(string name) => _graph.Sharded.Axes.First(a => a.Name == name);

    private static void Collective(List<ProgramStatement> result, CollectiveKind kind, string axis, OperandPlan source, OperandPlan? target, long bytes, string reason)
    {
        string ticket = (kind == CollectiveKind.AllGather ? "gathered" : "summed") + result.Count;
        EquatableArray<string> axes = EquatableArray.Of(axis);
        result.Add(new ProgramStatement.Start(ticket, kind, axes, source, target, bytes, reason));
        result.Add(new ProgramStatement.Wait(ticket, axes));
    }
}
