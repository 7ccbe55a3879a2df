using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Which tensors share memory, how long each lives, where it lies.</summary>
internal sealed partial class EntryBuilder
{
    private void PlaceCarries(Piece piece)
    {
        int layers = _graph.Layers[piece.Stack!.Id];
        bool backward = piece.Region.Region.IsBackward;
        List<LocalCarry> carries = _graph.Carries[piece.Region.Region];
        for (int i = 0; i < carries.Count; i++)
        {
            LocalCarry carry = carries[i];
            bool saved = UsedOutside(carry.Argument, piece) || (carry.Result.Root.Region == piece.Id && UsedOutside(carry.Result, piece));
            bool arrives = _arrivals.Contains(carry.Initial), goes = _departures.Contains(carry.Final);
            var storage = new Storage(carry.Argument.Name, carry.Argument.Local, saved ? layers + 1 : 2, Comment(carry.Argument) + (saved ? "; what enters each layer, and what leaves the last" : "; handed from layer to layer"))
            {
                HasHead = arrives,
                HasTail = goes,
                IsGradient = backward,
                Layers = layers,
            };
            _storages.Add(storage);
            _homes[carry.Argument] = new Home(storage, backward ? SlotIndex.Iteration : SlotIndex.Layer, layers);
            _homes[carry.Final] = new Home(storage, SlotIndex.Last, layers);
            storage.Touch(piece.Start, piece.End);
            storage.Phases |= 1 << (int)piece.Phase;
            if (carry.Result.Root is { } result && result.Region == piece.Id && !_homes.ContainsKey(result) && !_fixed.ContainsKey(result) && IsWhole(carry.Result) && result.Stack == piece.Stack.Id)
            {
                _homes[result] = new Home(storage, backward ? SlotIndex.NextIteration : SlotIndex.NextLayer, layers);
            }
            else
            {
                Copy(carry.Result, piece, storage, backward ? SlotIndex.NextIteration : SlotIndex.NextLayer, layers);
            }

            if (arrives)
            {
                _homes[carry.Initial] = new Home(storage, SlotIndex.First, layers);
                continue;
            }

            Piece before = _pieces[piece.Id - 1];
            LocalTensor initial = carry.Initial.Root;
            bool free = initial.Region >= 0 && initial.Stack < 0 && !_homes.ContainsKey(initial) && !_fixed.ContainsKey(initial) && IsWhole(carry.Initial) && initial.Region == before.Id
                && !_departures.Contains(initial) && !carries.Skip(i + 1).Any(c => c.Initial.Root == initial);
            if (free && (saved || _uses[initial].All(u => u.Position <= piece.Start)))
            {
                _homes[initial] = new Home(storage, SlotIndex.First, layers);
            }
            else
            {
                Copy(carry.Initial, before, storage, SlotIndex.First, layers);
            }
        }
    }

    private bool UsedOutside(LocalTensor tensor, Piece piece) =>
        _uses.TryGetValue(tensor.Root, out List<(int Region, int Position)>? uses) && uses.Any(u => u.Region != piece.Id && u.Region != piece.Id - 1 && _pieces[u.Region].Stack == piece.Stack);

    private static bool IsWhole(LocalTensor tensor)
    {
        for (LocalTensor? t = tensor; t is not null; t = t.AliasOf)
        {
            if (t.AliasStart is not null)
            {
                return false;
            }
        }

        return true;
    }

    private void Copy(LocalTensor source, Piece piece, Storage storage, SlotIndex slot, int layers, long at = 0)
    {
        var target = new LocalTensor(_graph.Tensors.Count, source.Name, source.Local with { Element = storage.Type.Element }, source.Logical, source.Start, source.Layout, piece.Id, piece.Stack?.Id ?? -1);
        _graph.Tensors.Add(target);
        piece.Steps.Add(new FusedStep(new LocalStep.Compute(null, new CopyOp(), ImmutableArray.Create(source), ImmutableArray.Create(target))));
        _homes[target] = new Home(storage, slot, layers, at);
        _extra.Add(target);
    }

    private readonly HashSet<LocalTensor> _extra = new();

    private void PlaceGradients()
    {
        // What an item of a region makes, the first that makes it.
        var producers = new Dictionary<(int Region, LocalTensor Tensor), FusedStep>();
        foreach (Piece piece in Enumerable.Reverse(_pieces))
        {
            foreach (FusedStep step in Enumerable.Reverse(piece.Steps))
            {
                foreach (LocalTensor output in step.Outputs)
                {
                    producers[(piece.Id, output)] = step;
                }
            }
        }

        foreach ((Value parameter, LocalTensor gradient) in _graph.Gradients)
        {
            ParameterPlan plan = _parameters[parameter.Parameter!.Path];
            if (_groups[plan.Group].Shards is { Stage: > 1 })
            {
                PlaceInWindow(plan, parameter, gradient);
                continue;
            }

            var target = new OperandPlan(plan.Gradient, plan.Layers > 1 ? SlotIndex.Layer : SlotIndex.None, null, gradient.Local.Count, plan.Layers);
            LocalTensor root = gradient.Root;
            bool onlyFirst = _microBatches > 1 && !gradient.Layout[0].IsPartial;
            bool own = root.Region >= 0 && root.Stack == parameter.Stack && !_homes.ContainsKey(root) && !_fixed.ContainsKey(root) && IsWhole(gradient) && _writes.ContainsKey(root)
                && _buffers[plan.Gradient].Element == gradient.Local.Element;
            FusedStep? producer = own && producers.TryGetValue((root.Region, root), out FusedStep? made) ? made : null;
            bool product = producer is { IsGemm: true, Ops.Count: 1 } && _uses[root].All(u => u.Position == _pieces[root.Region].End) && ReferenceEquals(gradient, root);
            if (own && _microBatches == 1)
            {
                _fixed[root] = target;
            }
            else if (own && product && !onlyFirst)
            {
                _fixed[root] = target;
                _accumulatingProducts.Add(root);
            }
            else
            {
                _accumulated.Add((target, gradient, onlyFirst));
            }
        }
    }

    private void PlaceRest()
    {
        foreach (Piece piece in _pieces)
        {
            // A block of the runtime writes all its results, also those that nobody reads.
            foreach (LocalTensor root in piece.Steps.SelectMany(s => s.Outputs.Where(t => _needed.Contains(t) || (s.Ops.Count == 1 && !s.IsElementwise))).Select(t => t.Root).Distinct())
            {
                Place(root);
            }
        }

        foreach ((int _, LocalTensor input) in _graph.Inputs)
        {
            Place(input);
        }

        foreach (Boundary boundary in _graph.Boundaries)
        {
            Place(boundary.Tensor.Root);
            Home home = _homes[boundary.Tensor.Root];
            if (home.Slot == SlotIndex.None && home.Storage.Space is null && !home.Storage.HasHead && !home.Storage.HasTail)
            {
                home.Storage.Space = boundary.IsGradient ? (boundary.Arrives ? MemorySpace.GradientIn : MemorySpace.GradientOut) : boundary.Arrives ? MemorySpace.Input : MemorySpace.Output;
            }
        }
    }

    private void Place(LocalTensor root)
    {
        if (_homes.ContainsKey(root) || _fixed.ContainsKey(root) || _gathered.ContainsKey(root))
        {
            return;
        }

        bool perLayer = root.Stack >= 0 && _uses.TryGetValue(root, out List<(int Region, int Position)>? uses) && uses.Any(u => u.Region != root.Region);
        int layers = perLayer ? _graph.Layers[root.Stack] : 0;
        var storage = new Storage(root.Region < 0 ? root.Name + "Local" : root.Name, root.Local, Math.Max(1, layers), Comment(root) + (perLayer ? "; kept for backward" : ""));
        if (root.Layout.IsEmpty && root.Name.EndsWith("Pieces", StringComparison.Ordinal))
        {
            storage.Category = MemoryCategory.Communication;
        }

        _storages.Add(storage);
        _homes[root] = new Home(storage, layers > 1 ? SlotIndex.Layer : SlotIndex.None, layers);
    }

    private string Comment(LocalTensor tensor) => tensor.Layout.IsEmpty ? tensor.Local.ShapeText : ParameterLayout.Comment(tensor, _graph.Sharded.Axes);

    private void Lifetimes()
    {
        foreach (KeyValuePair<LocalTensor, Home> pair in _homes)
        {
            LocalTensor root = pair.Key;
            Storage storage = pair.Value.Storage;
            if (root.Region < 0 && !_arrivals.Contains(root))
            {
                storage.Touch(0, 0);
                storage.Phases |= 1 << (int)_pieces[0].Phase;
            }

            if (_writes.TryGetValue(root, out (int Region, int Position) write))
            {
                Touch(storage, write.Region, write.Position, root);
            }

            if (_uses.TryGetValue(root, out List<(int Region, int Position)>? uses))
            {
                foreach ((int region, int position) in uses)
                {
                    Touch(storage, region, position, root);
                }
            }
        }

        TouchWindows();
    }

    /// <summary>Within a loop body, what only one iteration knows lives from step to step; everything else lives through the whole loop.</summary>
    private void Touch(Storage storage, int region, int position, LocalTensor root)
    {
        Piece piece = _pieces[Math.Max(0, region)];
        bool inside = piece.Stack is null || (storage.Slots == 1 && root.Region == piece.Id && root.Stack >= 0);
        storage.Touch(inside ? position : Math.Min(position, piece.Start), inside ? position : piece.End);
        storage.Phases |= 1 << (int)piece.Phase;
    }

    /// <summary>Where a tensor of a stage lies follows from the actions that need it: one alone, or one and a later one.</summary>
    private static MemorySpace SpaceOf(Storage storage)
    {
        if (storage.Space is { } space)
        {
            return space;
        }

        bool forward = (storage.Phases & (1 << (int)Phase.Forward)) != 0;
        bool several = (storage.Phases & (storage.Phases - 1)) != 0;
        return !several ? MemorySpace.Step : forward ? MemorySpace.Kept : MemorySpace.Deferred;
    }

    /// <summary>The action of what lives within one.</summary>
    private static Phase PhaseOf(Storage storage) => Enum.GetValues(typeof(Phase)).Cast<Phase>().First(p => (storage.Phases & (1 << (int)p)) != 0);

    private void LayOut()
    {
        List<Storage> used = _storages.Where(s => s.Last >= 0).ToList();
        List<Storage> step = used.Where(s => SpaceOf(s) == MemorySpace.Step && s.Over is null).ToList();
        var offsets = new Dictionary<Storage, long>();
        foreach (IGrouping<Phase, Storage> phase in step.GroupBy(PhaseOf).OrderBy(p => p.Key))
        {
            List<Storage> own = phase.ToList();
            Layout layout = ArenaLayout.Place(own.Select(s => new Block(Size(s) * BodySlots(s), s.First, s.Last)).ToList());
            for (int i = 0; i < own.Count; i++)
            {
                offsets[own[i]] = layout.Offsets[i];
            }

            Steps.Add((phase.Key, layout.Bytes));
            Bytes = Math.Max(Bytes, layout.Bytes);
            LowerBound = Math.Max(LowerBound, layout.LowerBound);
        }

        MakeProfile(step);
        string prefix = _entry == "Train" ? "" : _entry.ToLowerInvariant();
        foreach (Storage storage in used)
        {
            string name = prefix.Length == 0 ? storage.Name : prefix + char.ToUpperInvariant(storage.Name[0]) + storage.Name.Substring(1);
            MemorySpace space = SpaceOf(storage);
            long offset = space == MemorySpace.Step ? offsets[storage.Bottom] : Take(space, Size(storage) * BodySlots(storage));
            storage.Buffer = _buffers.Add(name, storage.Type.Element, space, offset, storage.Type.Count, Size(storage), Math.Max(1, BodySlots(storage)), storage.Category, storage.Comment);
            _buffers.Own(storage.Buffer, _entry, space == MemorySpace.Step ? PhaseOf(storage) : Phase.Whole);
            if (storage.Alternates)
            {
                _buffers.Alternate(storage.Buffer);
            }

            if (storage.HasHead || storage.HasTail)
            {
                (MemorySpace, long)? head = storage.HasHead ? Edge(storage, storage.IsGradient ? MemorySpace.GradientIn : MemorySpace.Input) : null;
                (MemorySpace, long)? tail = storage.HasTail ? Edge(storage, storage.IsGradient ? MemorySpace.GradientOut : MemorySpace.Output) : null;
                _buffers.Join(storage.Buffer, head, tail, storage.Layers + 1);
            }
        }
    }

    private (MemorySpace, long) Edge(Storage storage, MemorySpace space) => (space, Take(space, Size(storage)));

    private static long Size(Storage storage) => ArenaLayout.Align(storage.Type.Bytes);

    /// <summary>Slots of a stack beside its head and tail, which lie elsewhere.</summary>
    private static int BodySlots(Storage storage)
    {
        int ends = (storage.HasHead ? 1 : 0) + (storage.HasTail ? 1 : 0);
        return ends == 0 ? storage.Slots : Math.Min(storage.Slots, storage.Layers + 1 - ends);
    }

    private long Take(MemorySpace space, long bytes)
    {
        long offset = Blocks.TryGetValue(space, out long taken) ? taken : 0;
        Blocks[space] = offset + bytes;
        return offset;
    }
}
