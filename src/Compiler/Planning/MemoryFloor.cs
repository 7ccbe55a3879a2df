using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>What a rank takes at least when a request is changed, by a plan of the request as it stands: the state of the average rank, spread as far as larger axes and shards could ever spread
/// it, and the scratch of its kernels; and where nothing is recomputed before or after, what its stacks of layers keep for backward, of one micro-batch, spread over all ranks.</summary>
internal sealed class MemoryFloor
{
    private readonly ShardedOnDefinition _on;
    private readonly double _parameters;
    private readonly double _gradients;
    private readonly double _states;
    private readonly double _kept;
    private readonly long _scratch;

    private MemoryFloor(ShardedOnDefinition on, double parameters, double gradients, double states, double kept, long scratch)
    {
        _on = on;
        _parameters = parameters;
        _gradients = gradients;
        _states = states;
        _kept = kept;
        _scratch = scratch;
    }

    /// <summary>Reads a plan.</summary>
    /// <param name="program">The plan.</param>
    /// <param name="on">The request that it is of.</param>
    public static MemoryFloor Of(RankProgram program, ShardedOnDefinition on)
    {
        double parameters = 0, gradients = 0, states = 0, kept = 0;
        foreach (ChunkPlan chunk in program.Ranks.SelectMany(r => r.Chunks))
        {
            StageProgram stage = program.Stages[chunk.Program];

            // Another cut may hold a tied parameter once.
            foreach (ParameterGroup group in stage.Groups.Where(g => !g.IsCopy))
            {
                parameters += Bytes(stage, group.Parameters, group.ParameterElements);
                gradients += Bytes(stage, group.Gradients, group.GradientElements);
                states += group.States.Sum(s => Bytes(stage, s, (double)s.Length * group.Buckets));
            }

            if (on.Recompute == "None" && on.Zero == "None")
            {
                kept += program.Pipeline is null ? LiveAtTurn(stage) : stage.Buffers.Where(b => b.Entry == "Train" && b.Space == MemorySpace.Kept && b.IsStack).Sum(b => (double)b.Bytes);
            }
        }

        int ranks = program.Ranks.Count;
        return new MemoryFloor(on, parameters / ranks, gradients / ranks, states / ranks, kept * program.MicroBatches / on.Mesh.Ranks, program.ScratchBytesPerThread * program.MaxThreads);
    }

    /// <summary>Bytes that the largest rank of a changed request takes at least.</summary>
    /// <param name="changed">The request.</param>
    /// <param name="microBatches">Its micro-batches.</param>
    public long For(ShardedOnDefinition changed, int microBatches)
    {
        double spread = 1, shards = 1;
        for (int axis = 0; axis < changed.Mesh.Axes.Count; axis++)
        {
            MeshAxisDefinition now = changed.Mesh.Axes[axis];
            spread *= Math.Max(1, (double)now.Size / _on.Mesh.Axes[axis].Size);
            shards = changed.Zero == _on.Zero || now.Role == "Pipeline" ? shards : Math.Max(shards, now.Size);
        }

        double parameters = changed.Zero == "Parameters" ? _parameters / shards : _parameters;
        double gradients = changed.Zero is "Parameters" or "Gradients" ? _gradients / shards : _gradients;
        double state = (parameters + gradients + (changed.Zero == "None" ? _states : _states / shards)) / spread;
        return (long)(state + (changed.Recompute == "None" ? _kept / microBatches : 0)) + _scratch;
    }

    /// <summary>What lives between forward and backward, where one stage is the whole model and its memory is planned as one.</summary>
    private static double LiveAtTurn(StageProgram stage)
    {
        List<long> forward = stage.Profile.Where(p => p.Entry == "Train").TakeWhile(p => !p.Where.StartsWith("Backward", StringComparison.Ordinal)).Select(p => p.Bytes).ToList();
        return forward.Count > 0 ? forward[forward.Count - 1] : 0;
    }

    private static double Bytes(StageProgram stage, OperandPlan operand, double elements) => elements * BufferPlan.Width(stage.Buffers[operand.Buffer].Element);
}
