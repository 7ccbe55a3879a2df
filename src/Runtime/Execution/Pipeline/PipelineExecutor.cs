using System.ComponentModel;
using Shardwright.Observability;
using Shardwright.Worlds;

namespace Shardwright.Execution;

/// <summary>Walks a rank's table: runs actions of its stages, and starts and waits for what passes between stages.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class PipelineExecutor
{
    private readonly Arena _arena;
    private readonly RankContext _context;
    private readonly ProcessGroup _group;
    private readonly IPipelineStage?[] _stages;
    private readonly int[] _rankOfStage;
    private readonly Ticket[] _tickets;
    private readonly int[] _counts;
    private readonly int _microBatches;
    private readonly int _width;
    private readonly Slice<byte>[] _from;
    private readonly Slice<byte>[] _to;
    private readonly PipelineTurn? _turn;
    private PipelineAction[] _late = [];

    /// <summary>Binds the executor to a rank.</summary>
    /// <param name="arena">Memory of the rank.</param>
    /// <param name="context">The rank.</param>
    /// <param name="group">Ranks along the pipeline.</param>
    /// <param name="stages">All stages by number; those of other ranks are null.</param>
    /// <param name="rankOfStage">Pipeline coordinate of each stage.</param>
    /// <param name="microBatches">Most micro-batches of an entry.</param>
    /// <param name="tensors">Most tensors that pass between two stages in one direction.</param>
    /// <param name="turn">What actions do for their neighbours; null for nothing.</param>
    public PipelineExecutor(Arena arena, RankContext context, ProcessGroup group, IPipelineStage?[] stages, int[] rankOfStage, int microBatches, int tensors, PipelineTurn? turn = null)
    {
        _turn = turn;
        _arena = arena;
        _context = context;
        _group = group;
        _stages = stages;
        _rankOfStage = rankOfStage;
        _microBatches = microBatches;
        _width = tensors;
        _tickets = new Ticket[stages.Length * 4 * microBatches * tensors];
        _counts = new int[stages.Length * 4 * microBatches];
        _from = new Slice<byte>[tensors];
        _to = new Slice<byte>[tensors];
    }

    /// <summary>Runs an entry.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="table">What the rank does.</param>
    /// <param name="first">Number of the micro-batch of the step that is the first of the table: where the table is run for one after another.</param>
    /// <remarks>But for inference, whose result may lie where they are sent from, the waits for sends at the table's end are left to <see cref="EndSends"/>.</remarks>
    public void Run(PipelineEntry entry, PipelineActions table, int first = 0)
    {
        int run = 0;
        _turn?.Begin(_stages, entry, table, first);
        _late = entry == PipelineEntry.Infer ? [] : table.Late;
        foreach (PipelineAction action in table.Actions.AsSpan(0, table.Actions.Length - _late.Length))
        {
            _context.ThrowIfStopping();
            ref readonly SlotSet m = ref table.Slots[action.Stage][action.MicroBatch];
            switch (action.Verb)
            {
                case PipelineVerb.Run:
                    using (new TraceSpan(_context.Trace, SpanKind.Action, _context.Trace is null ? "" : action.Label))
                    {
                        _turn?.Enter();
                        _stages[action.Stage]!.Run(entry, action.Phase, first + action.MicroBatch, table.Turns[run++]);
                        _turn?.Leave();
                        HandOver(entry, action, table, m);
                    }

                    break;
                case PipelineVerb.StartReceive:
                    Start(entry, action, action.IsGradient ? Passing.Gradients : Passing.Activations, m, sends: false);
                    break;
                case PipelineVerb.WaitReceive:
                    Wait(action, action.IsGradient ? Passing.Gradients : Passing.Activations);
                    break;
                case PipelineVerb.StartSend:
                    Start(entry, action, action.IsGradient ? Passing.PreviousGradients : Passing.NextActivations, m, sends: true);
                    break;
                default:
                    Wait(action, action.IsGradient ? Passing.PreviousGradients : Passing.NextActivations);
                    break;
            }
        }

        _turn?.End();
    }

    /// <summary>Waits until the last messages of a run have left. Behind a sum over all ranks, which they have reached by then, this holds up nothing.</summary>
    public void EndSends()
    {
        foreach (PipelineAction action in _late)
        {
            Wait(action, action.IsGradient ? Passing.PreviousGradients : Passing.NextActivations);
        }

        _late = [];
    }

    private int Index(PipelineAction action, Passing passing) => (action.Stage * 4 + (int)passing) * _microBatches + action.MicroBatch;

    private void Start(PipelineEntry entry, PipelineAction action, Passing passing, in SlotSet m, bool sends)
    {
        int other = _rankOfStage[action.Stage + (passing is Passing.Activations or Passing.PreviousGradients ? -1 : 1)];
        int count = _stages[action.Stage]!.Tensors(entry, passing, m, _from), index = Index(action, passing);
        _counts[index] = count;
        for (int i = 0; i < count; i++)
        {
            _tickets[index * _width + i] = sends ? _group.StartSend(_arena, _from[i], other) : _group.StartReceive(_arena, _from[i], other);
        }
    }

    private void Wait(PipelineAction action, Passing passing)
    {
        int index = Index(action, passing);
        for (int i = 0; i < _counts[index]; i++)
        {
            _group.Wait(_tickets[index * _width + i]);
        }
    }

    /// <summary>A neighbouring stage on the same rank gets what passes by a copy.</summary>
    private void HandOver(PipelineEntry entry, PipelineAction action, PipelineActions table, in SlotSet m)
    {
        bool forward = action.Phase == PipelinePhase.Forward;
        int next = action.Stage + (forward ? 1 : -1);
        if (action.Phase == PipelinePhase.WeightGradient || next < 0 || next >= _stages.Length || _stages[next] is not { } receiver)
        {
            return;
        }

        int count = _stages[action.Stage]!.Tensors(entry, forward ? Passing.NextActivations : Passing.PreviousGradients, m, _from);
        receiver.Tensors(entry, forward ? Passing.Activations : Passing.Gradients, table.Slots[next][action.MicroBatch], _to);
        for (int i = 0; i < count; i++)
        {
            _arena.Copy(_from[i], _to[i]);
        }
    }
}
