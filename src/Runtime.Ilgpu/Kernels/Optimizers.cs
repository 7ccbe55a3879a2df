using System.Runtime.CompilerServices;
using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of the optimizers.</summary>
/// <typeparam name="T">Element of the gradients.</typeparam>
public struct OptimizerArguments<T>
    where T : unmanaged
{
    /// <summary>Parameters, first and second state.</summary>
    public ArrayView<float> P, M, V;

    /// <summary>Gradients.</summary>
    public ArrayView<T> G;

    /// <summary>The parameters as kernels read them, where that is not P.</summary>
    public ArrayView<BFloat16> Copy;

    /// <summary>Elements, a multiple of four, at multiples of 16 bytes: parameters lie padded.</summary>
    public long Count;

    /// <summary>Factor on the gradient; learning rate or step size; decay, or what is kept of the parameter; momentum or first beta; second beta; epsilon; correction of the root.</summary>
    public float Scale, Rate, Decay, Beta1, Beta2, Epsilon, Root;

    /// <summary>1 for Nesterov's step; 1 where there is a copy.</summary>
    public int Nesterov, HasCopy;
}

/// <summary>Device code of the optimizers: one pass over parameters, gradients and states, four elements at a time.</summary>
public static class OptimizerKernels
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd<T>(OptimizerArguments<T> a)
        where T : unmanaged
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = Element.LoadQuad(a.G, q);
            p.X -= a.Rate * (g.X * a.Scale + a.Decay * p.X);
            p.Y -= a.Rate * (g.Y * a.Scale + a.Decay * p.Y);
            p.Z -= a.Rate * (g.Z * a.Scale + a.Decay * p.Z);
            p.W -= a.Rate * (g.W * a.Scale + a.Decay * p.W);
            Keep(p4, q, p, a);
        }
    }

    /// <summary>v ← momentum·v + scale·g + decay·p; p ← p − lr·v, or − lr·(g + momentum·v).</summary>
    public static void Momentum<T>(OptimizerArguments<T> a)
        where T : unmanaged
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>(), m4 = a.M.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = Element.LoadQuad(a.G, q), m = m4[q];
            MomentumStep(ref p.X, g.X, ref m.X, a);
            MomentumStep(ref p.Y, g.Y, ref m.Y, a);
            MomentumStep(ref p.Z, g.Z, ref m.Z, a);
            MomentumStep(ref p.W, g.W, ref m.W, a);
            Keep(p4, q, p, a);
            m4[q] = m;
        }
    }

    /// <summary>AdamW, with bias corrections folded into step size and root.</summary>
    public static void AdamW<T>(OptimizerArguments<T> a)
        where T : unmanaged
    {
        ArrayView<Float4> p4 = a.P.Cast<Float4>(), m4 = a.M.Cast<Float4>(), v4 = a.V.Cast<Float4>();
        for (long q = DeviceMath.Thread(); q < a.Count / 4; q += DeviceMath.Threads())
        {
            Float4 p = p4[q], g = Element.LoadQuad(a.G, q), m = m4[q], v = v4[q];
            AdamWStep(ref p.X, g.X, ref m.X, ref v.X, a);
            AdamWStep(ref p.Y, g.Y, ref m.Y, ref v.Y, a);
            AdamWStep(ref p.Z, g.Z, ref m.Z, ref v.Z, a);
            AdamWStep(ref p.W, g.W, ref m.W, ref v.W, a);
            Keep(p4, q, p, a);
            m4[q] = m;
            v4[q] = v;
        }
    }

    /// <summary>Stores four parameters, and their rounding where kernels read that.</summary>
    [MethodImpl(Inline)]
    private static void Keep<T>(ArrayView<Float4> parameters, long quad, Float4 value, in OptimizerArguments<T> a)
        where T : unmanaged
    {
        parameters[quad] = value;
        if (a.HasCopy != 0)
        {
            Element.StoreQuad(a.Copy, quad, value);
        }
    }

    [MethodImpl(Inline)]
    private static void MomentumStep<T>(ref float p, float g, ref float m, in OptimizerArguments<T> a)
        where T : unmanaged
    {
        g = g * a.Scale + a.Decay * p;
        m = m * a.Beta1 + g;
        p -= a.Rate * (a.Nesterov != 0 ? m * a.Beta1 + g : m);
    }

    [MethodImpl(Inline)]
    private static void AdamWStep<T>(ref float p, float g, ref float m, ref float v, in OptimizerArguments<T> a)
        where T : unmanaged
    {
        g *= a.Scale;
        m = a.Beta1 * m + (1f - a.Beta1) * g;
        v = a.Beta2 * v + (1f - a.Beta2) * g * g;
        p = a.Decay * p - a.Rate * (m / (MathF.Sqrt(v) * a.Root + a.Epsilon));
    }
}

/// <summary>Launches of <see cref="OptimizerKernels"/>. Where parameters have a copy in bf16, its rounding is written in the same pass.</summary>
public static class Optimizers
{
    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd<T>(DeviceArena arena, Slice<float> p, Slice<T> g, float scale, float learningRate, float decay, Slice<BFloat16>? copy = null)
        where T : unmanaged =>
        arena.Launch(OptimizerKernels.Sgd<T>, Launches.Flat(arena, Quads(p, g, copy)), new OptimizerArguments<T> { P = arena.View(p), G = arena.View(g), Copy = Copy(arena, copy), HasCopy = copy is null ? 0 : 1, Count = p.Length, Scale = scale, Rate = learningRate, Decay = decay });

    /// <summary>Momentum, as torch.optim.SGD.</summary>
    public static void Momentum<T>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> velocity, float scale, float learningRate, float momentum, bool nesterov, float decay, Slice<BFloat16>? copy = null)
        where T : unmanaged =>
        arena.Launch(OptimizerKernels.Momentum<T>, Launches.Flat(arena, Quads(p, g, copy)), new OptimizerArguments<T> { P = arena.View(p), G = arena.View(g), Copy = Copy(arena, copy), HasCopy = copy is null ? 0 : 1, M = arena.View(velocity), Count = p.Length, Scale = scale, Rate = learningRate, Beta1 = momentum, Nesterov = nesterov ? 1 : 0, Decay = decay });

    /// <summary>AdamW, as torch.optim.AdamW; the step counts from 1.</summary>
    public static void AdamW<T>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> m, Slice<float> v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step, Slice<BFloat16>? copy = null)
        where T : unmanaged =>
        arena.Launch(OptimizerKernels.AdamW<T>, Launches.Flat(arena, Quads(p, g, copy)), new OptimizerArguments<T>
        {
            P = arena.View(p), G = arena.View(g), Copy = Copy(arena, copy), HasCopy = copy is null ? 0 : 1, M = arena.View(m), V = arena.View(v), Count = p.Length, Scale = scale, Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon,
            Rate = (float)(learningRate / (1 - Math.Pow(beta1, step))), Root = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))), Decay = 1 - learningRate * decay,
        });

    private static ArrayView<BFloat16> Copy(DeviceArena arena, Slice<BFloat16>? copy) => copy is { } slice ? arena.View(slice) : default;

    private static long Quads<T>(Slice<float> p, Slice<T> g, Slice<BFloat16>? copy)
        where T : unmanaged =>
        (p.Length & 3) == 0 && ((p.Offset | g.Offset | (copy?.Offset ?? 0)) & 15) == 0 ? p.Length / 4 : throw new ArgumentException($"Parameters at {p.Offset} of length {p.Length} are not padded to four.");
}
