using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;
using V = System.Runtime.Intrinsics.Vector512<float>;

namespace Shardwright.Kernels;

/// <summary>One pass over parameters, gradients and states. The gradient is scaled on the way: by 1/weight of the loss and by the clip factor, once.
/// Lengths are multiples of 16: parameters lie padded.</summary>
public static unsafe class Optimizers
{
    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd(ThreadTeam team, long count, ref float p, ref float g, float scale, float learningRate, float decay) =>
        Elementwise.Run(team, count, new SgdBody { P = (float*)Unsafe.AsPointer(ref p), G = (float*)Unsafe.AsPointer(ref g), Scale = scale, Rate = learningRate, Decay = decay });

    /// <summary>v ← momentum·v + scale·g + decay·p; p ← p − lr·v, or with Nesterov's step − lr·(g + momentum·v). As torch.optim.SGD.</summary>
    public static void Momentum(ThreadTeam team, long count, ref float p, ref float g, ref float v, float scale, float learningRate, float momentum, bool nesterov, float decay) =>
        Elementwise.Run(team, count, new MomentumBody { P = (float*)Unsafe.AsPointer(ref p), G = (float*)Unsafe.AsPointer(ref g), Velocity = (float*)Unsafe.AsPointer(ref v), Scale = scale, Rate = learningRate, Factor = momentum, Nesterov = nesterov, Decay = decay });

    /// <summary>AdamW (Loshchilov and Hutter, arXiv 1711.05101), as torch.optim.AdamW.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="count">Elements.</param>
    /// <param name="p">Parameters.</param>
    /// <param name="g">Gradients, unscaled.</param>
    /// <param name="m">First moments.</param>
    /// <param name="v">Second moments.</param>
    /// <param name="scale">Factor on the gradients.</param>
    /// <param name="learningRate">Learning rate.</param>
    /// <param name="beta1">Decay of the first moment.</param>
    /// <param name="beta2">Decay of the second moment.</param>
    /// <param name="epsilon">Added to the root.</param>
    /// <param name="decay">Weight decay.</param>
    /// <param name="step">Number of the update, from 1.</param>
    public static void AdamW(ThreadTeam team, long count, ref float p, ref float g, ref float m, ref float v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step) =>
        Elementwise.Run(team, count, new AdamWBody
        {
            P = (float*)Unsafe.AsPointer(ref p), G = (float*)Unsafe.AsPointer(ref g), M = (float*)Unsafe.AsPointer(ref m), Second = (float*)Unsafe.AsPointer(ref v), Scale = scale, Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon,
            StepSize = (float)(learningRate / (1 - Math.Pow(beta1, step))), RootCorrection = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))), Keep = 1 - learningRate * decay,
        });

    private struct SgdBody : IRangeBody
    {
        public float* P, G;
        public float Scale, Rate, Decay;

        public void Run(long from, long to)
        {
            for (long i = from; i < to; i += 16)
            {
                V p = Vector512.Load(P + i), g = Vector512.FusedMultiplyAdd(p, Vector512.Create(Decay), Vector512.Load(G + i) * Vector512.Create(Scale));
                Vector512.Store(Vector512.FusedMultiplyAdd(g, Vector512.Create(-Rate), p), P + i);
            }
        }
    }

    private struct MomentumBody : IRangeBody
    {
        public float* P, G, Velocity;
        public float Scale, Rate, Factor, Decay;
        public bool Nesterov;

        public void Run(long from, long to)
        {
            for (long i = from; i < to; i += 16)
            {
                V p = Vector512.Load(P + i), g = Vector512.FusedMultiplyAdd(p, Vector512.Create(Decay), Vector512.Load(G + i) * Vector512.Create(Scale));
                V v = Vector512.FusedMultiplyAdd(Vector512.Load(Velocity + i), Vector512.Create(Factor), g);
                Vector512.Store(v, Velocity + i);
                V step = Nesterov ? Vector512.FusedMultiplyAdd(v, Vector512.Create(Factor), g) : v;
                Vector512.Store(Vector512.FusedMultiplyAdd(step, Vector512.Create(-Rate), p), P + i);
            }
        }
    }

    private struct AdamWBody : IRangeBody
    {
        public float* P, G, M, Second;
        public float Scale, Beta1, Beta2, Epsilon, StepSize, RootCorrection, Keep;

        public void Run(long from, long to)
        {
            V scale = Vector512.Create(Scale), b1 = Vector512.Create(Beta1), b2 = Vector512.Create(Beta2), i1 = Vector512.Create(1 - Beta1), i2 = Vector512.Create(1 - Beta2);
            V root = Vector512.Create(RootCorrection), epsilon = Vector512.Create(Epsilon), size = Vector512.Create(-StepSize), keep = Vector512.Create(Keep);
            for (long i = from; i < to; i += 16)
            {
                V g = Vector512.Load(G + i) * scale;
                V m = Vector512.FusedMultiplyAdd(b1, Vector512.Load(M + i), i1 * g), v = Vector512.FusedMultiplyAdd(b2, Vector512.Load(Second + i), i2 * g * g);
                Vector512.Store(m, M + i);
                Vector512.Store(v, Second + i);
                V step = m / Vector512.FusedMultiplyAdd(Vector512.Sqrt(v), root, epsilon);
                Vector512.Store(Vector512.FusedMultiplyAdd(size, step, keep * Vector512.Load(P + i)), P + i);
            }
        }
    }
}
