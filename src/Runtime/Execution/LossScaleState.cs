using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>The scale of the loss, shared by the kernels of a rank: 1 where the precision scales none. What becomes of it follows from the norm that all ranks have got alike, so that their scales are one.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class LossScaleState
{
    private int _growthInterval;

    /// <summary>What the loss of this step is multiplied by.</summary>
    public float Value { get; private set; } = 1;

    /// <summary>What the gradients in memory were multiplied by.</summary>
    public float OfGradients { get; private set; } = 1;

    /// <summary>Steps that have updated nothing so far.</summary>
    public int SkippedSteps => Now?.SkippedSteps ?? 0;

    /// <summary>Where it stands; null before the first step, and where the precision scales none.</summary>
    internal LossScale? Now { get; private set; }

    /// <summary>Begins a step of training.</summary>
    internal void Begin(LossScaling? scaling)
    {
        scaling = (scaling ?? LossScaling.Default).Checked();
        _growthInterval = scaling.GrowthInterval;
        Now ??= new LossScale(scaling.InitialScale, 0, 0);
        OfGradients = Value = Now.Value.Value;
    }

    /// <summary>Ends one.</summary>
    /// <param name="overflowed">Whether the norm of the gradients was not finite.</param>
    /// <param name="skipped">Whether nothing was updated.</param>
    internal void End(bool overflowed, bool skipped)
    {
        LossScale now = Now!.Value;
        now = overflowed ? new LossScale(Math.Max(LossScaling.Least, now.Value / 2), 0, now.SkippedSteps)
            : skipped ? now with { GoodSteps = 0 }
            : now.GoodSteps + 1 >= _growthInterval ? new LossScale(Math.Min(LossScaling.Most, now.Value * 2), 0, now.SkippedSteps)
            : now with { GoodSteps = now.GoodSteps + 1 };
        Now = skipped ? now with { SkippedSteps = now.SkippedSteps + 1 } : now;
    }

    /// <summary>Sets it to that of a checkpoint; null where that has none.</summary>
    internal void Resume(LossScale? saved) => Now = saved;
}
