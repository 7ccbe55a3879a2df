using System.Runtime.CompilerServices;
using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of the optimizers.</summary>
/// <typeparam name="T">Element of the gradients.</typeparam>
/// <typeparam name="TCopy">Element of the parameters as kernels read them.</typeparam>
public struct OptimizerArguments<T, TCopy>
    where T : unmanaged
    where TCopy : unmanaged
{
    /// <summary>Parameters, first and second state.</summary>
    public ArrayView<float> P, M, V;

    /// <summary>Gradients.</summary>
    public ArrayView<T> G;

    /// <summary>The parameters as kernels read them, where that is not P.</summary>
    public ArrayView<TCopy> Copy;

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
    public static void Sgd<T, TCopy>(OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
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
    public static void Momentum<T, TCopy>(OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
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
    public static void AdamW<T, TCopy>(OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
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
    private static void Keep<T, TCopy>(ArrayView<Float4> parameters, long quad, Float4 value, in OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
    {
        parameters[quad] = value;
        if (a.HasCopy != 0)
        {
            Element.StoreQuad(a.Copy, quad, value);
        }
    }

    [MethodImpl(Inline)]
    private static void MomentumStep<T, TCopy>(ref float p, float g, ref float m, in OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
    {
        g = g * a.Scale + a.Decay * p;
        m = m * a.Beta1 + g;
        p -= a.Rate * (a.Nesterov != 0 ? m * a.Beta1 + g : m);
    }

    [MethodImpl(Inline)]
    private static void AdamWStep<T, TCopy>(ref float p, float g, ref float m, ref float v, in OptimizerArguments<T, TCopy> a)
        where T : unmanaged
        where TCopy : unmanaged
    {
        g *= a.Scale;
        m = a.Beta1 * m + (1f - a.Beta1) * g;
        v = a.Beta2 * v + (1f - a.Beta2) * g * g;
        p = a.Decay * p - a.Rate * (m / (MathF.Sqrt(v) * a.Root + a.Epsilon));
    }
}

/// <summary>Launches of <see cref="OptimizerKernels"/>. Where parameters have a copy that kernels read, its rounding is written in the same pass.</summary>
public static class Optimizers
{
    /// <summary>p ← p − lr·(scale·g + decay·p).</summary>
    public static void Sgd<T>(DeviceArena arena, Slice<float> p, Slice<T> g, float scale, float learningRate, float decay)
        where T : unmanaged => Launch<T, T>(arena, OptimizerKernels.Sgd, p, g, null, OfSgd<T, T>(scale, learningRate, decay));

    /// <summary>The same, with a copy.</summary>
    public static void Sgd<T, TCopy>(DeviceArena arena, Slice<float> p, Slice<T> g, float scale, float learningRate, float decay, Slice<TCopy> copy)
        where T : unmanaged
        where TCopy : unmanaged => Launch(arena, OptimizerKernels.Sgd, p, g, copy, OfSgd<T, TCopy>(scale, learningRate, decay));

    /// <summary>Momentum, as torch.optim.SGD.</summary>
    public static void Momentum<T>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> velocity, float scale, float learningRate, float momentum, bool nesterov, float decay)
        where T : unmanaged => Launch<T, T>(arena, OptimizerKernels.Momentum, p, g, null, OfMomentum<T, T>(arena, velocity, scale, learningRate, momentum, nesterov, decay));

    /// <summary>The same, with a copy.</summary>
    public static void Momentum<T, TCopy>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> velocity, float scale, float learningRate, float momentum, bool nesterov, float decay, Slice<TCopy> copy)
        where T : unmanaged
        where TCopy : unmanaged => Launch(arena, OptimizerKernels.Momentum, p, g, copy, OfMomentum<T, TCopy>(arena, velocity, scale, learningRate, momentum, nesterov, decay));

    /// <summary>AdamW, as torch.optim.AdamW; the step counts from 1.</summary>
    public static void AdamW<T>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> m, Slice<float> v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step)
        where T : unmanaged => Launch<T, T>(arena, OptimizerKernels.AdamW, p, g, null, OfAdamW<T, T>(arena, m, v, scale, learningRate, beta1, beta2, epsilon, decay, step));

    /// <summary>The same, with a copy.</summary>
    public static void AdamW<T, TCopy>(DeviceArena arena, Slice<float> p, Slice<T> g, Slice<float> m, Slice<float> v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step, Slice<TCopy> copy)
        where T : unmanaged
        where TCopy : unmanaged => Launch(arena, OptimizerKernels.AdamW, p, g, copy, OfAdamW<T, TCopy>(arena, m, v, scale, learningRate, beta1, beta2, epsilon, decay, step));

    private static OptimizerArguments<T, TCopy> OfSgd<T, TCopy>(float scale, float learningRate, float decay)
        where T : unmanaged
        where TCopy : unmanaged => new() { Scale = scale, Rate = learningRate, Decay = decay };

    private static OptimizerArguments<T, TCopy> OfMomentum<T, TCopy>(DeviceArena arena, Slice<float> velocity, float scale, float learningRate, float momentum, bool nesterov, float decay)
        where T : unmanaged
        where TCopy : unmanaged => new() { M = arena.View(velocity), Scale = scale, Rate = learningRate, Beta1 = momentum, Nesterov = nesterov ? 1 : 0, Decay = decay };

    private static OptimizerArguments<T, TCopy> OfAdamW<T, TCopy>(DeviceArena arena, Slice<float> m, Slice<float> v, float scale, float learningRate, float beta1, float beta2, float epsilon, float decay, long step)
        where T : unmanaged
        where TCopy : unmanaged => new()
        {
            M = arena.View(m), V = arena.View(v), Scale = scale, Beta1 = beta1, Beta2 = beta2, Epsilon = epsilon,
            Rate = (float)(learningRate / (1 - Math.Pow(beta1, step))), Root = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))), Decay = 1 - learningRate * decay,
        };

    private static void Launch<T, TCopy>(DeviceArena arena, Action<OptimizerArguments<T, TCopy>> kernel, Slice<float> p, Slice<T> g, Slice<TCopy>? copy, OptimizerArguments<T, TCopy> arguments)
        where T : unmanaged
        where TCopy : unmanaged
    {
        if ((p.Length & 3) != 0 || ((p.Offset | g.Offset | (copy?.Offset ?? 0)) & 15) != 0)
        {
            throw new ArgumentException($"Parameters at {p.Offset} of length {p.Length} are not padded to four.");
        }

        (arguments.P, arguments.G, arguments.Count) = (arena.View(p), arena.View(g), p.Length);
        if (copy is { } slice)
        {
            (arguments.Copy, arguments.HasCopy) = (arena.View(slice), 1);
        }

        arena.Launch(kernel, Launches.Flat(arena, p.Length / 4), arguments);
    }
}
