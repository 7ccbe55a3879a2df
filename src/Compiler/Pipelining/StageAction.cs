using System.Globalization;

namespace Shardwright.Compiler.Pipelining;

/// <summary>What a rank does to one micro-batch of one stage.</summary>
public enum ActionKind
{
    /// <summary>Forward.</summary>
    Forward,

    /// <summary>Gradient of the stage's inputs.</summary>
    InputGradient,

    /// <summary>Gradient of the stage's weights.</summary>
    WeightGradient,

    /// <summary>Both gradients together.</summary>
    Backward,
}

/// <summary>One action of a schedule.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Stage">Number of the stage, 0 first.</param>
/// <param name="MicroBatch">Number of the micro-batch, 0 first.</param>
public readonly record struct StageAction(ActionKind Kind, int Stage, int MicroBatch)
{
    /// <summary>Makes a forward action.</summary>
    public static StageAction F(int stage, int microBatch) => new(ActionKind.Forward, stage, microBatch);

    /// <summary>Makes an action for the gradient of the inputs.</summary>
    public static StageAction I(int stage, int microBatch) => new(ActionKind.InputGradient, stage, microBatch);

    /// <summary>Makes an action for the gradient of the weights.</summary>
    public static StageAction W(int stage, int microBatch) => new(ActionKind.WeightGradient, stage, microBatch);

    /// <summary>Makes an action for both gradients.</summary>
    public static StageAction B(int stage, int microBatch) => new(ActionKind.Backward, stage, microBatch);

    /// <summary>Whether it makes the gradient that the stage before waits for.</summary>
    public bool GivesInputGradient => Kind is ActionKind.InputGradient or ActionKind.Backward;

    /// <summary>Whether nothing of the micro-batch is needed on the stage after it.</summary>
    public bool Releases => Kind is ActionKind.WeightGradient or ActionKind.Backward;

    /// <summary>The letter of a kind: F, I, W or B.</summary>
    public static char Letter(ActionKind kind) => "FIWB"[(int)kind];

    /// <summary>Stage, letter, micro-batch: <c>2F3</c>.</summary>
    public override string ToString() => Stage.ToString(CultureInfo.InvariantCulture) + Letter(Kind) + MicroBatch.ToString(CultureInfo.InvariantCulture);
}
