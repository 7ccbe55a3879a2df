namespace Shardwright;

/// <summary>Settings of an AdamW step (Loshchilov and Hutter, arXiv 1711.05101).</summary>
/// <param name="LearningRate">Learning rate.</param>
/// <param name="Beta1">Decay of the first moment.</param>
/// <param name="Beta2">Decay of the second moment.</param>
/// <param name="Epsilon">Added to the root of the second moment.</param>
/// <param name="WeightDecay">Decoupled decay, for parameters without [NoDecay].</param>
/// <param name="ClipNorm">Largest global norm of the gradient; 0 for no clipping.</param>
/// <param name="LossScaling">How the loss is scaled in fp16; null for the defaults.</param>
public readonly record struct AdamWSettings(float LearningRate, float Beta1 = 0.9f, float Beta2 = 0.999f, float Epsilon = 1e-8f, float WeightDecay = 0.01f, float ClipNorm = 0, LossScaling? LossScaling = null);

/// <summary>Settings of a step with momentum.</summary>
/// <param name="LearningRate">Learning rate.</param>
/// <param name="Momentum">Decay of the velocity.</param>
/// <param name="Nesterov">Nesterov's look ahead.</param>
/// <param name="WeightDecay">Decay, for parameters without [NoDecay].</param>
/// <param name="ClipNorm">Largest global norm of the gradient; 0 for no clipping.</param>
/// <param name="LossScaling">How the loss is scaled in fp16; null for the defaults.</param>
public readonly record struct MomentumSettings(float LearningRate, float Momentum = 0.9f, bool Nesterov = false, float WeightDecay = 0, float ClipNorm = 0, LossScaling? LossScaling = null);

/// <summary>Settings of a plain gradient step.</summary>
/// <param name="LearningRate">Learning rate.</param>
/// <param name="WeightDecay">Decay, for parameters without [NoDecay].</param>
/// <param name="ClipNorm">Largest global norm of the gradient; 0 for no clipping.</param>
/// <param name="LossScaling">How the loss is scaled in fp16; null for the defaults.</param>
public readonly record struct SgdSettings(float LearningRate, float WeightDecay = 0, float ClipNorm = 0, LossScaling? LossScaling = null);

/// <summary>What a step yields, the same on every rank.</summary>
/// <param name="LossSum">Sum of the loss over the step, auxiliary losses included.</param>
/// <param name="Weight">What it is divided by: tokens counted.</param>
/// <param name="GradientNorm">Global norm of the gradient of the mean loss, before clipping; 0 for an evaluation.</param>
/// <param name="Skipped">Whether the update was left out because a gradient was not finite.</param>
public readonly record struct StepResult(double LossSum, double Weight, double GradientNorm, bool Skipped)
{
    /// <summary>The mean loss.</summary>
    public double Loss => LossSum / Weight;
}

/// <summary>Learning rates over the steps of a run.</summary>
public abstract class LearningRateSchedule
{
    /// <summary>The learning rate of a step, counted from 0.</summary>
    public abstract float At(int step);

    /// <summary>The same rate for all steps.</summary>
    public static LearningRateSchedule Constant(float rate) => new Formula(_ => rate);

    /// <summary>Rises linearly over the warm-up, then falls along half a cosine to the final rate (Loshchilov and Hutter, arXiv 1608.03983).</summary>
    /// <param name="peak">Rate at the end of the warm-up.</param>
    /// <param name="warmupSteps">Steps of the warm-up.</param>
    /// <param name="totalSteps">Steps of the run.</param>
    /// <param name="final">Rate at the end.</param>
    public static LearningRateSchedule WarmupCosine(float peak, int warmupSteps, int totalSteps, float final = 0) =>
        Warmup(peak, warmupSteps, totalSteps, t => final + (peak - final) * 0.5 * (1 + Math.Cos(Math.PI * t)));

    /// <summary>Rises linearly over the warm-up, then falls linearly to the final rate.</summary>
    /// <param name="peak">Rate at the end of the warm-up.</param>
    /// <param name="warmupSteps">Steps of the warm-up.</param>
    /// <param name="totalSteps">Steps of the run.</param>
    /// <param name="final">Rate at the end.</param>
    public static LearningRateSchedule WarmupLinear(float peak, int warmupSteps, int totalSteps, float final = 0) =>
        Warmup(peak, warmupSteps, totalSteps, t => peak + (final - peak) * t);

    private static Formula Warmup(float peak, int warmupSteps, int totalSteps, Func<double, double> after)
    {
        if (warmupSteps < 0 || totalSteps < warmupSteps || !(peak >= 0))
        {
            throw new ArgumentException($"A schedule of {totalSteps} steps with {warmupSteps} of warm-up and peak {peak}: the warm-up must lie within the run, and the peak must not be negative.");
        }

        return new Formula(step => step < warmupSteps
            ? (float)(peak * (step + 1.0) / warmupSteps)
            : (float)after(Math.Min(1, (step - warmupSteps) / (double)Math.Max(1, totalSteps - warmupSteps))));
    }

    private sealed class Formula(Func<int, float> rate) : LearningRateSchedule
    {
        public override float At(int step) => step >= 0 ? rate(step) : throw new ArgumentOutOfRangeException(nameof(step), $"Step {step} is negative: steps count from 0.");
    }
}
