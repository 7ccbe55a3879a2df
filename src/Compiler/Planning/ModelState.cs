using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Planning;

/// <summary>What is kept of each trained element from step to step, in regions: 0 the parameters, 1 their gradients, then each state of the optimizer; and which of them ZeRO cuts into shards
/// (Rajbhandari et al., arXiv 1910.02054).</summary>
internal static class ModelState
{
    /// <summary>Names of the states, a contract of checkpoints; in bf16 and fp16 the optimizer keeps the parameters in fp32 beside its own.</summary>
    /// <param name="optimizer">AdamW, Momentum or Sgd.</param>
    /// <param name="precision">Element types of a step.</param>
    public static string[] States(string optimizer, string precision) =>
        (precision == Planner.Single ? Array.Empty<string>() : new[] { "master" }).Concat(optimizer switch { "AdamW" => new[] { "firstMoment", "secondMoment" }, "Momentum" => new[] { "velocity" }, _ => Array.Empty<string>() }).ToArray();

    /// <summary>Element type of each region.</summary>
    /// <inheritdoc cref="States"/>
    public static DType[] Elements(string optimizer, string precision)
    {
        DType half = Planner.ElementOf(precision);
        return new[] { half, precision == Planner.HalfWithWideGradients ? DType.Float32 : half }.Concat(States(optimizer, precision).Select(_ => DType.Float32)).ToArray();
    }

    /// <summary>Whether a stage of ZeRO leaves a rank only its shard of a region.</summary>
    public static bool IsCut(int region, int stage) => stage > (region == 0 ? 2 : region == 1 ? 1 : 0);

    /// <summary>Bytes that a rank keeps for each element of a parameter, padding aside.</summary>
    /// <param name="optimizer">AdamW, Momentum or Sgd.</param>
    /// <param name="precision">Element types of a step.</param>
    /// <param name="stage">Stage of ZeRO; 0 for none.</param>
    /// <param name="shards">Ranks that hold a shard each.</param>
    public static double BytesPerElement(string optimizer, string precision, int stage, int shards) =>
        Elements(optimizer, precision).Select((element, region) => BufferPlan.Width(element) / (IsCut(region, stage) ? (double)shards : 1)).Sum();
}
