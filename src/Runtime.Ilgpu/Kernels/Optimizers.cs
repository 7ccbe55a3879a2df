using System.Runtime.CompilerServices;
using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of the optimizers.</summary>
public struct OptimizerArguments
{
    /// <summary>Parameters, gradients, first and second state.</summary>
    public ArrayView<float> P, G, M, V;

    /// <summary>Elements, a multiple of four, at multiples of 16 bytes: parameters lie padded.</summary>
    public long Count;

    /// <summary>Factor on the gradient; learning rate or step size; decay, or what is kept of the parameter; momentum or first beta; second beta; epsilon; correction of the root.</summary>
    public float Scale, Rate, Decay, Beta1, Beta2, Epsilon, Root;

    /// <summary>1 for Nesterov's step.</summary>
    public int Nesterov;
}

/// <summary>Device code of the optimizers: one pass over parameters, gradients and states, four elements at a time.</summary>
public static class OptimizerKernels
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd(OptimizerArguments a)
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>(), g4 = a.G.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = g4[q];
            p.X -= a.Rate * (g.X * a.Scale + a.Decay * p.X);
            p.Y -= a.Rate * (g.Y * a.Scale + a.Decay * p.Y);
            p.Z -= a.Rate * (g.Z * a.Scale + a.Decay * p.Z);
            p.W -= a.Rate * (g.W * a.Scale + a.Decay * p.W);
            p4[q] = p;
        }
    }

    /// <summary>v ← momentum·v + scale·g + decay·p; p ← p − lr·v, or − lr·(g + momentum·v).</summary>
    public static void Momentum(OptimizerArguments a)
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>(), g4 = a.G.Cast<Float4>(), m4 = a.M.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = g4[q], m = m4[q];
            MomentumStep(ref p.X, g.X, ref m.X, a);
            MomentumStep(ref p.Y, g.Y, ref m.Y, a);
            MomentumStep(ref p.Z, g.Z, ref m.Z, a);
            MomentumStep(ref p.W, g.W, ref m.W, a);
            p4[q] = p;
            m4[q] = m;
        }
    }

    /// <summary>AdamW, with bias corrections folded into step size and root.</summary>
    public static void AdamW(OptimizerArguments a)
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>(), g4 = a.G.Cast<Float4>(), m4 = a.M.Cast<Float4>(), v4 = a.V.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = g4[q], m = m4[q], v = v4[q];
            AdamWStep(ref p.X, g.X, ref m.X, ref v.X, a);
            AdamWStep(ref p.Y, g.Y, ref m.Y, ref v.Y, a);
            AdamWStep(ref p.Z, g.Z, ref m.Z, ref v.Z, a);
            AdamWStep(ref p.W, g.W, ref m.W, ref v.W, a);
            p4[q] = p;
            m4[q] = m;
            v4[q] = v;
        }
    }

    [MethodImpl(Inline)]
    private static void MomentumStep(ref float p, float g, ref float m, in OptimizerArguments a)
    {
        g = g * a.Scale + a.Decay * p;
        m = m * a.Beta1 + g;
        p -= a.Rate * (a.Nesterov != 0 ? m * a.Beta1 + g : m);
    }

    [MethodImpl(Inline)]
    private static void AdamWStep(ref float p, float g, ref float m, ref float v, in OptimizerArguments a)
    {
        g *= a.Scale;
        m = a.Beta1 * m + (1f - a.Beta1) * g;
        v = a.Beta2 * v + (1f - a.Beta2) * g * g;
        p = a.Decay * p - a.Rate * (m / (MathF.Sqrt(v) * a.Root + a.Epsilon));
    }
}

/// <summary>Launches of <see cref="OptimizerKernels"/>.</summary>
public static class Optimizers
{
    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd(DeviceArena arena, Slice<float> p, Slice<float> g, float scale, float learningRate, float decay) =>
        arena.Launch(OptimizerKernels.Sgd, Launches.Flat(arena, Quads(p, g)), new OptimizerArguments { P = arena.View(p), G = arena.View(g), Count = p.Length, Scale = scale, Rate = learningRate, Decay = decay });

    /// <summary>Momentum, as torch.optim.SGD.</summary>
    public static void Momentum(DeviceArena arena, Slice<float> p, Slice<float> g, Slice<float> velocity, float scale, float learningRate, float momentum, bool nesterov, float decay) =>
        arena.Launch(OptimizerKernels.Momentum, Launches.Flat(arena, Quads(p, g)), new OptimizerArguments { P = arena.View(p), G = arena.View(g), M = arena.View(velocity), Count = p.Length, Scale = scale, Rate = learningRate, Beta1 = momentum, Nesterov = nesterov ? 1 : 0, Decay = decay });

    /// <summary>AdamW, as torch.optim.AdamW; the step counts from 1.</summary>
    public static void AdamW(DeviceArena arena, Slice<float> p, Slice<float> g, Slice<float> m, Slice<float> v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step) =>
        arena.Launch(OptimizerKernels.AdamW, Launches.Flat(arena, Quads(p, g)), new OptimizerArguments
        {
            P = arena.View(p), G = arena.View(g), M = arena.View(m), V = arena.View(v), Count = p.Length, Scale = scale, Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon,
            Rate = (float)(learningRate / (1 - Math.Pow(beta1, step))), Root = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))), Decay = 1 - learningRate * decay,
        });

    private static long Quads(Slice<float> p, Slice<float> g) =>
        (p.Length & 3) == 0 && ((p.Offset | g.Offset) & 15) == 0 ? p.Length / 4 : throw new ArgumentException($"Parameters at {p.Offset} of length {p.Length} are not padded to four.");
}
