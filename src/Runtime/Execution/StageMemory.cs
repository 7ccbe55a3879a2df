using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>Where the spaces of a stage start in its rank's arena, in bytes. Emitted code names its memory by space and offset, so that equal stages share it.</summary>
/// <param name="StateAt">Parameters, gradients and optimizer state.</param>
/// <param name="StepAt">What lives within one action; all stages of a rank share it.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct StageMemory(long StateAt, long StepAt)
{
    /// <summary>A tensor that is kept from step to step.</summary>
    public Slice<T> State<T>(long offset, long length) where T : unmanaged => new(StateAt + offset, length);

    /// <summary>A tensor for each layer that is kept from step to step.</summary>
    public SliceStack<T> State<T>(long offset, long length, long stride, int count) where T : unmanaged => new(StateAt + offset, length, stride, count);

    /// <summary>A tensor that lives within an action.</summary>
    public Slice<T> Step<T>(long offset, long length) where T : unmanaged => new(StepAt + offset, length);

    /// <summary>A tensor for each layer that lives within an action.</summary>
    public SliceStack<T> Step<T>(long offset, long length, long stride, int count) where T : unmanaged => new(StepAt + offset, length, stride, count);
}
