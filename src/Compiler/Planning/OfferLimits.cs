namespace Shardwright.Compiler.Planning;

/// <summary>From where on waiting is reported: what is offered instead has to stay below it.</summary>
/// <param name="Bubble">Share of the ranks' time that is a pipeline's bubble (SW2004).</param>
/// <param name="Exposed">Share of a step in which ranks wait for the network (SW4001).</param>
public sealed record OfferLimits(double Bubble, double Exposed)
{
    /// <summary>Where .editorconfig says nothing.</summary>
    public static OfferLimits Usual { get; } = new(0.2, 0.2);
}
