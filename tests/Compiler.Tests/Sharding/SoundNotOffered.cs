namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

/// <summary>Signatures that would hold and are not offered, each with its reason.</summary>
internal static class SoundNotOffered
{
    private const string NormParameters = "a norm is linear in its parameters together, but parameters are never partial";
    private const string LossWeights = "a loss is linear in the weights of its rows, but these are inputs of the model, never partial";
    private const string SavedValues = "the gradient of attention is linear in v and o together, but o was reduced when it was made";
    private const string WholeKeys = "query heads over whole key heads hold also where key heads divide: splitting both does the same with less memory";
    private const string Queries = "without a causal mask each query is on its own: splitting positions comes with the communicating forms";

    public static IReadOnlyList<string> Reasons { get; } = [NormParameters, LossWeights, SavedValues, WholeKeys, Queries];

    /// <summary>Why a candidate that holds is not offered, or null.</summary>
    public static string? Reason(Op op, Signature s) => (op, s.ToString()) switch
    {
        (LayerNormOp, "B, P, P -> P, B, B") => NormParameters,
        (LayerNormGradientOp, "B, P, B, B, B -> P, B, B") => NormParameters,
        (RmsNormOp, "B, P -> P, B") => NormParameters,
        (RmsNormGradientOp, "B, P, B, B -> P, B") => NormParameters,
        (CrossEntropyOp { HasWeights: true }, "B, B, P -> P, P, B") => LossWeights,
        (CrossEntropyGradientOp { HasWeights: true }, "B, B, B, B, P -> P") => LossWeights,
        (AttentionGradientOp { HasSegments: false }, "B, B, P, P, B, B -> P, P, B") => SavedValues,
        (AttentionGradientOp { HasSegments: true }, "B, B, P, P, B, B, B -> P, P, B") => SavedValues,
        (AttentionOp { HasSegments: false }, "S(1), B, B -> S(1), S(1)") => WholeKeys,
        (AttentionOp { HasSegments: true }, "S(1), B, B, B -> S(1), S(1)") => WholeKeys,
        (AttentionGradientOp { HasSegments: false }, "S(1), B, B, S(1), S(1), S(1) -> S(1), P, P") => WholeKeys,
        (AttentionGradientOp { HasSegments: true }, "S(1), B, B, S(1), S(1), S(1), B -> S(1), P, P") => WholeKeys,
        (AttentionOp { Causal: false, HasSegments: false }, "S(2), B, B -> S(2), S(2)") => Queries,
        (AttentionGradientOp { Causal: false, HasSegments: false }, "S(2), B, B, S(2), S(2), S(2) -> S(2), P, P") => Queries,
        _ => null,
    };
}
