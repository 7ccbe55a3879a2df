using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>Entries of a model.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public enum PipelineEntry
{
    /// <summary>A training step.</summary>
    Train,

    /// <summary>The loss of held-out data.</summary>
    Evaluate,

    /// <summary>Inference.</summary>
    Infer,
}

/// <summary>What a stage does to a micro-batch.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public enum PipelinePhase
{
    /// <summary>Forward.</summary>
    Forward,

    /// <summary>Both gradients.</summary>
    Backward,

    /// <summary>The gradient of what it received.</summary>
    InputGradient,

    /// <summary>The gradients of its parameters.</summary>
    WeightGradient,
}

/// <summary>What passes between a stage and its neighbours.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public enum Passing
{
    /// <summary>Arrives from the stage before.</summary>
    Activations,

    /// <summary>Goes to the stage after.</summary>
    NextActivations,

    /// <summary>Gradients that arrive from the stage after.</summary>
    Gradients,

    /// <summary>Gradients that go to the stage before.</summary>
    PreviousGradients,
}

/// <summary>A stage as the executor sees it; emitted code implements it.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public interface IPipelineStage
{
    /// <summary>Runs an action for a micro-batch.</summary>
    void Run(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m);

    /// <summary>Starts to gather the parameters that an action reads first, beside the rank's action before.</summary>
    void Open(PipelineEntry entry, PipelinePhase phase, in SlotSet m)
    {
    }

    /// <summary>Ends the sums that an action has left under way, beside the rank's next action.</summary>
    void Close(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m)
    {
    }

    /// <summary>Names the tensors that pass; returns how many.</summary>
    int Tensors(PipelineEntry entry, Passing passing, in SlotSet m, Span<Slice<byte>> tensors);
}
