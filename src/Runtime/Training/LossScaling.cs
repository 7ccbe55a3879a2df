namespace Shardwright;

/// <summary>How the loss is scaled in fp16, so that small gradients are not rounded to zero (Micikevicius et al., arXiv 1710.03740): backward starts from the scale instead of 1, and the optimizer divides by it. A step whose
/// gradients are not finite changes nothing but the scale, which is halved; after so many good ones in a row it is doubled. Other precisions do not read it.</summary>
/// <param name="InitialScale">Scale of a run's first step; later ones have what came of it, from a checkpoint too. It multiplies the sum of the loss over the step, not its mean.</param>
/// <param name="GrowthInterval">Good steps after which the scale doubles.</param>
public sealed record LossScaling(float InitialScale = 1024, int GrowthInterval = 2000)
{
    /// <summary>The least and the largest scale: 2⁻³² and 2³².</summary>
    public const float Least = 1f / (1L << 32), Most = 1L << 32;

    /// <summary>What settings that say nothing mean.</summary>
    internal static LossScaling Default { get; } = new();

    /// <summary>Whether it is a scale.</summary>
    internal static bool IsScale(float value) => value is >= Least and <= Most;

    /// <summary>Fails where the numbers cannot be.</summary>
    internal LossScaling Checked() => !IsScale(InitialScale) ? throw new ArgumentException($"LossScaling.InitialScale is {InitialScale.ToString("R", System.Globalization.CultureInfo.InvariantCulture)}: the loss is multiplied by it, and it lies between 2^-32 and 2^32; 1024 is the default.")
        : GrowthInterval < 1 ? throw new ArgumentException($"LossScaling.GrowthInterval is {GrowthInterval}: it counts the good steps after which the scale doubles, 1 or more; 2000 is the default.")
        : this;
}

/// <summary>Where the scale of a run's loss stands.</summary>
/// <param name="Value">What the loss of the next step is multiplied by.</param>
/// <param name="GoodSteps">Steps since the scale last changed or a step was skipped.</param>
/// <param name="SkippedSteps">Steps that have updated nothing so far: the optimizer does not count them.</param>
public readonly record struct LossScale(float Value, int GoodSteps, int SkippedSteps);
