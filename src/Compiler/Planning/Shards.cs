using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What a model asks to be cut into shards (Rajbhandari et al., arXiv 1910.02054).</summary>
/// <param name="Axis">Axis whose ranks hold one shard each.</param>
/// <param name="Stage">1: optimizer state; 2: gradients too; 3: parameters too.</param>
internal sealed record ZeroRequest(string Axis, int Stage);

/// <summary>How a group of parameters is cut over the ranks of the ZeRO axis. Its tensors lie one after another in buckets; each bucket is cut into equal parts without
/// regard to where tensors begin, and each rank keeps one part of every bucket.</summary>
/// <param name="Axis">The axis.</param>
/// <param name="Ranks">Its size.</param>
/// <param name="Stage">1: optimizer state; 2: gradients too; 3: parameters too.</param>
/// <param name="Buckets">Number of buckets: 1, or one for each layer of a stack.</param>
/// <param name="Length">Elements of a bucket, padding included: a multiple of 16 for each rank.</param>
/// <param name="Scatters">Whether gradients are terms of a sum over the axis; else every rank has the same.</param>
/// <param name="Before">From stage 2 on: axes inside of which gradients are summed before the axis, bucket by bucket.</param>
/// <param name="Once">From stage 2 on: whether gradients are the same for all micro-batches, and count once.</param>
/// <param name="Gaps">Elements of a bucket that belong to no tensor: first and number.</param>
/// <param name="GatherBytes">Bytes that one rank sends when a bucket of parameters is gathered.</param>
public sealed record ShardPlan(string Axis, int Ranks, int Stage, int Buckets, long Length, bool Scatters, EquatableArray<string> Before, bool Once, EquatableArray<(long At, long Length)> Gaps, long GatherBytes)
{
    /// <summary>Elements of a bucket that a rank keeps.</summary>
    public long Share => Length / Ranks;

    /// <summary>Elements that a rank keeps of all buckets.</summary>
    public long Kept => Share * Buckets;
}

/// <summary>A sum over ranks that is made once per step for each bucket.</summary>
/// <param name="Kind">AllReduce or ReduceScatter.</param>
/// <param name="Axis">Axis of its group.</param>
/// <param name="Source">Terms.</param>
/// <param name="Target">Where the sum goes; null for in place.</param>
/// <param name="Bytes">Bytes that one rank sends for a bucket.</param>
public sealed record ReductionPlan(CollectiveKind Kind, string Axis, OperandPlan Source, OperandPlan? Target, long Bytes);
