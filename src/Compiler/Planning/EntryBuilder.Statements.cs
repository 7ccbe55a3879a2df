using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>The statements of an entry, once every tensor has its place.</summary>
internal sealed partial class EntryBuilder
{
    /// <summary>Most kernels that are named beside a collective.</summary>
    private const int MostNamed = 3;

    private OperandPlan Operand(LocalTensor tensor)
    {
        Offset? start = null;
        for (LocalTensor? t = tensor; t is not null; t = t.AliasOf)
        {
            if (t.AliasStart is { } own)
            {
                start = start is null ? own : new Offset(start.Constant + own.Constant, start.Terms.Concat(own.Terms).ToEquatable());
            }
        }

        LocalTensor root = tensor.Root;
        if (_fixed.TryGetValue(root, out OperandPlan? plan))
        {
            return plan with { Start = start, Length = tensor.Local.Count };
        }

        Home home = _gathered.TryGetValue(root, out ParameterPlan? cut) ? new Home(_windows[(_current, cut.Group, false)], SlotIndex.Layer, 0, cut.At) : _homes[root];
        if (home.At > 0)
        {
            start = start is null ? new Offset(home.At, default) : new Offset(start.Constant + home.At, start.Terms);
        }

        return new OperandPlan(home.Storage.Buffer, home.Storage.Slots > 1 || home.Storage.HasHead || home.Storage.HasTail ? home.Slot : SlotIndex.None, start, tensor.Local.Count, home.Layers);
    }

    private EntryPlan Emit()
    {
        var phases = new List<(Phase Phase, List<ProgramStatement> Main)>();
        var methods = new List<MethodPlan>();
        var names = new HashSet<string>();
        foreach (Piece piece in _pieces)
        {
            if (phases.Count == 0 || phases[phases.Count - 1].Phase != piece.Phase)
            {
                phases.Add((piece.Phase, new List<ProgramStatement>()));
            }

            List<ProgramStatement> main = phases[phases.Count - 1].Main;
            if (piece.Id == 0)
            {
                main.AddRange(_graph.Inputs.Where(i => _uses.ContainsKey(i.Tensor)).Select(i => new ProgramStatement.Load(i.Input, Operand(i.Tensor))));
            }

            List<ProgramStatement> statements = Statements(piece);
            if (statements.Count == 0)
            {
                continue;
            }

            (string name, string summary) = Describe(piece);
            string unique = name;
            for (int n = 2; !names.Add(unique); n++)
            {
                unique = name + n;
            }

            statements.AddRange(DyingSlots(piece));
            SettleCarried(piece, main);
            StartBefore(piece, main);
            methods.Add(new MethodPlan(unique, summary, piece.Stack is not null, statements.ToEquatable()));
            main.Add(new ProgramStatement.Call(methods.Count - 1, piece.Stack is { } stack ? _graph.Layers[stack.Id] : 0, piece.Region.Region.IsBackward));
            FinishAfter(piece, main);
            main.AddRange(DyingAfter(piece));
        }

        EquatableArray<InputPlan> inputs = _graph.Inputs.Select(i => new InputPlan(Logical.Inputs[i.Input].Name, i.Tensor.Local.Element, i.Tensor.Logical.Dims, i.Tensor.Local.Dims, i.Tensor.Start.ToEquatable())).ToEquatable();
        return new EntryPlan(_entry, inputs, phases.Select(p => new PhasePlan(p.Phase, p.Main.ToEquatable()) { Opening = Opening(p.Phase), Closing = Closing(p.Phase) }).ToEquatable(), methods.ToEquatable(), _graph.Result is { } r ? Operand(r) : null, Logical.Result?.Type.Dims ?? default, _microBatches)
        {
            Boundaries = _graph.Boundaries.Select(b => new BoundaryPlan(Operand(b.Tensor), b.Arrives, b.IsGradient, b.Tensor.Local.Bytes, $"{b.Tensor.Name} {Comment(b.Tensor)}")).ToEquatable(),
        };
    }

    private List<ProgramStatement> Statements(Piece piece)
    {
        var result = new List<ProgramStatement>();
        var tickets = new Dictionary<LocalStep.Collective, string>();
        _current = piece.Id;
        Gather(piece, result);
        for (int i = 0; i < piece.Steps.Count; i++)
        {
            if (i > 0)
            {
                result.AddRange(DyingAt(piece.Start + i));
            }

            Advance(piece, i, result);
            FusedStep step = piece.Steps[i];
            if (step.Collective is { } collective)
            {
                string ticket = tickets[collective] = KernelBuilder.Identifier(collective.Output.Name) + "Ready" + result.Count;
                OperandPlan source = Operand(collective.Input);
                bool inPlace = collective.Kind is CollectiveKind.AllReduce or CollectiveKind.AllReduceMax;
                result.Add(new ProgramStatement.Start(ticket, collective.Kind, EquatableArray.Of(collective.Axis.Name), source, inPlace ? null : Operand(collective.Output), collective.Bytes, collective.Reason)
                {
                    Chunk = step.Chunk?.Index ?? 0,
                    Chunks = step.Chunk?.Count ?? 1,
                });
                continue;
            }

            if (step.Awaited is { } awaited)
            {
                result.Add(new ProgramStatement.Wait(tickets[awaited], EquatableArray.Of(awaited.Axis.Name)));
                continue;
            }

            (int kernel, ImmutableArray<LocalTensor> tensors) = _kernels.Add(step, Made(step));
            LocalTensor output = tensors[_kernels.Kernels[kernel].Tensors.Items.IndexOf(_kernels.Kernels[kernel].Tensors.First(t => t.IsOutput))];
            string again = step.Ops[0].Node is { IsAgain: true } ? "; again, for backward" : "";
            result.Add(new ProgramStatement.Run(kernel, tensors.Select(Operand).ToEquatable(), Comment(step.Chunk is null ? output : output.AliasOf!) + again, false)
            {
                IsAgain = again.Length > 0,
                Chunk = step.Chunk?.Index ?? 0,
                Chunks = step.Chunk?.Count ?? 1,
                Rows = step.Chunk?.Rows ?? 0,
            });
        }

        NameWork(result);
        result.AddRange(DyingAt(piece.Start + piece.Steps.Count));
        foreach ((LocalTensor sum, double factor) in _graph.Losses)
        {
            if (PieceOf(sum) == piece)
            {
                result.Add(Loss(sum, factor, weight: false));
            }
        }

        if (_graph.LossWeight is { } total && PieceOf(total) == piece)
        {
            result.Add(Loss(total, 1, weight: true));
        }

        foreach ((OperandPlan gradient, LocalTensor contribution, bool onlyFirst) in _accumulated)
        {
            if (PieceOf(contribution) == piece)
            {
                result.Add(new ProgramStatement.Accumulate(gradient, Operand(contribution), onlyFirst, Comment(contribution)));
            }
        }

        Scatter(piece, result);
        for (int group = 0; _entry == "Train" && group < _groups.Count; group++)
        {
            if (_groups[group].StartsInBackward && _regions[group] == piece.Id)
            {
                result.Add(new ProgramStatement.StartGradients(group));
            }
        }

        return result;
    }

    /// <summary>What of a cluster's results has memory: what is needed elsewhere; a block of the runtime writes all.</summary>
    private Func<LocalTensor, bool> NeededOf(FusedStep step) => step.Chunk is null
        ? t => _needed.Contains(t) || _extra.Contains(t) || step.Ops.Count == 1 && !step.IsElementwise
        : t => _needed.Contains(t.AliasOf!) || step.Ops.Count == 1;

    private bool Accumulates(FusedStep step) => step.IsGemm && _accumulatingProducts.Contains(step.Ops[0].Outputs[0]);

    /// <summary>Says at each start what is computed until its wait; calls of one kernel that follow on each other as one.</summary>
    private void NameWork(List<ProgramStatement> statements)
    {
        for (int i = 0; i < statements.Count; i++)
        {
            if (statements[i] is ProgramStatement.Start { Beside: null } start)
            {
                List<string> work = statements.Skip(i + 1).TakeWhile(s => s is not ProgramStatement.Wait wait || wait.Ticket != start.Ticket).OfType<ProgramStatement.Run>().Select(r => _kernels.Kernels[r.Kernel].Name).ToList();
                var named = new List<(string Name, int Calls)>();
                foreach (string name in work)
                {
                    bool again = named.Count > 0 && named[named.Count - 1].Name == name;
                    int calls = again ? named[named.Count - 1].Calls + 1 : 1;
                    named.RemoveRange(named.Count - (again ? 1 : 0), again ? 1 : 0);
                    named.Add((name, calls));
                }

                statements[i] = start with
                {
                    Work = string.Join(", ", named.Take(MostNamed).Select(n => n.Calls > 1 ? $"{n.Calls} x {n.Name}" : n.Name)) + (named.Count > MostNamed ? $" and {named.Skip(MostNamed).Sum(n => n.Calls)} more" : ""),
                };
            }
        }
    }

    private ProgramStatement Loss(LocalTensor tensor, double factor, bool weight)
    {
        ImmutableArray<ShardAxis> axes = _graph.Sharded.Axes;
        var reduce = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && !axes[a].IsMicroBatch && tensor.Layout[a].IsPartial).Select(a => axes[a].Name).ToEquatable();
        var once = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && axes[a].IsMicroBatch && !tensor.Layout[a].IsPartial).Select(a => axes[a].Name).ToEquatable();
        return new ProgramStatement.AddLoss(Operand(tensor), factor, weight, once, reduce);
    }

    private (string Name, string Summary) Describe(Piece piece)
    {
        bool backward = piece.Region.Region.IsBackward;
        string direction = piece.Phase is Phase.Whole ? (backward ? "Backward" : "Forward") : piece.Phase.ToString(), prefix = _entry == "Train" ? "" : _entry;
        string words = piece.Phase switch { Phase.InputGradient => "Gradient of the inputs", Phase.WeightGradient => "Gradient of the parameters", _ => direction };
        string Pascal(string path) => string.Concat(path.Split('.').Select(p => char.ToUpperInvariant(p[0]) + p.Substring(1)));
        if (piece.Stack is { } stack)
        {
            return (prefix + direction + Pascal(stack.Path), $"{words} of one layer of {stack.Path} ({stack.LayerType}), of {_graph.Layers[stack.Id]}.");
        }

        Piece? next = _pieces.Skip(piece.Id + 1).FirstOrDefault(p => p.Stack is not null && p.Phase == piece.Phase && p.Region.Region.IsBackward == backward);
        Piece? previous = _pieces.Take(piece.Id).LastOrDefault(p => p.Stack is not null && p.Phase == piece.Phase && p.Region.Region.IsBackward == backward);
        return next is not null && previous is null ? (prefix + direction + "Before" + Pascal(next.Stack!.Path), $"{words} of what comes before {next.Stack.Path} in this direction.")
            : previous is not null ? (prefix + direction + "After" + Pascal(previous.Stack!.Path), $"{words} of what comes after {previous.Stack.Path} in this direction.")
            : (prefix + direction + "All", piece.Phase == Phase.Whole ? $"{words} of the whole model." : $"{words} of the stage.");
    }
}
