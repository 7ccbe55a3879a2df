using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Sizes of an attention.</summary>
/// <param name="Batch">Sequences.</param>
/// <param name="Heads">Query heads on this rank.</param>
/// <param name="KeyHeads">Key heads on this rank.</param>
/// <param name="HeadsPerKey">Query heads that share a key head.</param>
/// <param name="HeadOffset">Query head number of the first one here, relative to the first key head here.</param>
/// <param name="Queries">Positions of queries.</param>
/// <param name="Keys">Positions of keys.</param>
/// <param name="Width">Size of a head.</param>
/// <param name="Causal">A query sees keys up to its own position; the last query sees all keys.</param>
/// <param name="Scale">Factor on the scores.</param>
/// <param name="HasSegments">A query sees keys of its own segment only.</param>
public readonly record struct AttentionShape(int Batch, int Heads, int KeyHeads, int HeadsPerKey, int HeadOffset, int Queries, int Keys, int Width, bool Causal, float Scale, bool HasSegments);

/// <summary>Scaled dot-product attention with streaming softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135): blocks of 32 queries meet blocks of
/// 128 keys, the matrix of all scores is never in memory, backward computes the scores again. q [batch, heads, queries, width], k and v [batch, keyHeads, keys, width].</summary>
public static unsafe class Attention
{
    private const int QueryBlock = 32;
    private const int KeyBlock = 128;

    /// <summary>o like q, logSumExp [batch, heads, queries]. A query that sees no key gives zeros.</summary>
    public static void Forward(ThreadTeam team, in AttentionShape shape, ref float q, ref float k, ref float v, ref int segments, ref float o, ref float logSumExp) =>
        team.Run(shape.Batch * shape.Heads, new ForwardBody
        {
            Team = team, S = shape, Q = (float*)Unsafe.AsPointer(ref q), K = (float*)Unsafe.AsPointer(ref k), V = (float*)Unsafe.AsPointer(ref v),
            Segments = shape.HasSegments ? (int*)Unsafe.AsPointer(ref segments) : null, O = (float*)Unsafe.AsPointer(ref o), Lse = (float*)Unsafe.AsPointer(ref logSumExp),
        });

    /// <summary>dq, dk, dv, overwritten; query heads that share a key head are summed in head order by one thread.</summary>
    public static void Backward(ThreadTeam team, in AttentionShape shape, ref float q, ref float k, ref float v, ref int segments, ref float o, ref float logSumExp, ref float dO, ref float dq, ref float dk, ref float dv) =>
        team.Run(shape.Batch * shape.KeyHeads, new BackwardBody
        {
            Team = team, S = shape, Q = (float*)Unsafe.AsPointer(ref q), K = (float*)Unsafe.AsPointer(ref k), V = (float*)Unsafe.AsPointer(ref v),
            Segments = shape.HasSegments ? (int*)Unsafe.AsPointer(ref segments) : null, O = (float*)Unsafe.AsPointer(ref o), Lse = (float*)Unsafe.AsPointer(ref logSumExp),
            Do = (float*)Unsafe.AsPointer(ref dO), Dq = (float*)Unsafe.AsPointer(ref dq), Dk = (float*)Unsafe.AsPointer(ref dk), Dv = (float*)Unsafe.AsPointer(ref dv),
        });

    /// <summary>Number of keys that any query of a block sees.</summary>
    private static int Visible(in AttentionShape s, int q0, int queries) => s.Causal ? Math.Min(s.Keys, q0 + queries + s.Keys - s.Queries) : s.Keys;

    /// <summary>Puts −∞ where a query does not see a key; only blocks at the edge are touched.</summary>
    private static void Mask(in AttentionShape s, int* segments, float* scores, int q0, int queries, int k0, int keys)
    {
        int shift = s.Keys - s.Queries;
        if ((!s.Causal || k0 + keys - 1 <= q0 + shift) && segments == null)
        {
            return;
        }

        for (int i = 0; i < queries; i++)
        {
            for (int j = 0; j < keys; j++)
            {
                bool hidden = (s.Causal && k0 + j > q0 + i + shift) || (segments != null && segments[q0 + i] != segments[k0 + j]);
                if (hidden)
                {
                    scores[i * KeyBlock + j] = float.NegativeInfinity;
                }
            }
        }
    }

    private struct ForwardBody : IParallelBody
    {
        public ThreadTeam Team;
        public AttentionShape S;
        public float* Q, K, V, O, Lse;
        public int* Segments;

        public void Run(int part, int thread)
        {
            int b = part / S.Heads, h = part % S.Heads, d = S.Width;
            long keyHead = (long)b * S.KeyHeads + (S.HeadOffset + h) / S.HeadsPerKey;
            float* q = Q + (long)part * S.Queries * d, o = O + (long)part * S.Queries * d, lse = Lse + (long)part * S.Queries;
            float* k = K + keyHead * S.Keys * d, v = V + keyHead * S.Keys * d;
            int* segments = Segments == null ? null : Segments + (long)b * S.Queries;
            float* scratch = Team.Scratch(thread), scores = scratch + Gemm.ScratchFloats, max = scores + QueryBlock * KeyBlock, sum = max + QueryBlock;
            Gemm.None none = default;
            for (int q0 = 0; q0 < S.Queries; q0 += QueryBlock)
            {
                int queries = Math.Min(QueryBlock, S.Queries - q0), visible = Visible(S, q0, queries);
                new Span<float>(max, queries).Fill(float.NegativeInfinity);
                new Span<float>(sum, queries).Clear();
                new Span<float>(o + (long)q0 * d, queries * d).Clear();
                for (int k0 = 0; k0 < visible; k0 += KeyBlock)
                {
                    int keys = Math.Min(KeyBlock, visible - k0);
                    Gemm.Core(queries, keys, d, q + (long)q0 * d, d, false, k + (long)k0 * d, d, true, scores, KeyBlock, false, scratch, ref none);
                    Mask(S, segments, scores, q0, queries, k0, keys);
                    for (int i = 0; i < queries; i++)
                    {
                        float* row = scores + i * KeyBlock;
                        float before = max[i], largest = MathF.Max(before, RowMath.Max(row, keys) * S.Scale);
                        if (float.IsNegativeInfinity(largest))
                        {
                            new Span<float>(row, keys).Clear();
                            continue;
                        }

                        RowMath.Scale(row, S.Scale, row, keys);
                        float added = Exponentials(row, largest, keys);
                        float keep = float.IsNegativeInfinity(before) ? 0 : MathF.Exp(before - largest);
                        sum[i] = sum[i] * keep + added;
                        max[i] = largest;
                        if (keep != 1)
                        {
                            RowMath.Scale(o + (long)(q0 + i) * d, keep, o + (long)(q0 + i) * d, d);
                        }
                    }

                    Gemm.Core(queries, d, keys, scores, KeyBlock, false, v + (long)k0 * d, d, false, o + (long)q0 * d, d, true, scratch, ref none);
                }

                for (int i = 0; i < queries; i++)
                {
                    lse[q0 + i] = sum[i] == 0 ? float.NegativeInfinity : max[i] + MathF.Log(sum[i]);
                    RowMath.Scale(o + (long)(q0 + i) * d, sum[i] == 0 ? 0 : 1 / sum[i], o + (long)(q0 + i) * d, d);
                }
            }
        }

        /// <summary>exp(x − shift), exactly 0 for hidden keys; returns the sum.</summary>
        private static float Exponentials(float* x, float shift, int n)
        {
            Vector512<float> total = default, s = Vector512.Create(shift), hidden = Vector512.Create(float.NegativeInfinity);
            int i = 0;
            for (; i <= n - 16; i += 16)
            {
                Vector512<float> value = Vector512.Load(x + i), e = Vector512.ConditionalSelect(Vector512.Equals(value, hidden), default, VectorMath.Exp(value - s));
                total += e;
                Vector512.Store(e, x + i);
            }

            float tail = 0;
            for (; i < n; i++)
            {
                x[i] = float.IsNegativeInfinity(x[i]) ? 0 : MathF.Exp(x[i] - shift);
                tail += x[i];
            }

            return Vector512.Sum(total) + tail;
        }
    }

    private struct BackwardBody : IParallelBody
    {
        public ThreadTeam Team;
        public AttentionShape S;
        public float* Q, K, V, O, Lse, Do, Dq, Dk, Dv;
        public int* Segments;

        public void Run(int part, int thread)
        {
            int b = part / S.KeyHeads, g = part % S.KeyHeads, d = S.Width;
            float* k = K + (long)part * S.Keys * d, v = V + (long)part * S.Keys * d, dk = Dk + (long)part * S.Keys * d, dv = Dv + (long)part * S.Keys * d;
            new Span<float>(dk, S.Keys * d).Clear();
            new Span<float>(dv, S.Keys * d).Clear();
            for (int h = 0; h < S.Heads; h++)
            {
                if ((S.HeadOffset + h) / S.HeadsPerKey == g)
                {
                    Head(b, h, k, v, dk, dv, thread);
                }
            }
        }

        private void Head(int b, int h, float* k, float* v, float* dk, float* dv, int thread)
        {
            int d = S.Width;
            long head = ((long)b * S.Heads + h) * S.Queries;
            float* q = Q + head * d, o = O + head * d, dO = Do + head * d, dq = Dq + head * d, lse = Lse + head;
            int* segments = Segments == null ? null : Segments + (long)b * S.Queries;
            float* scratch = Team.Scratch(thread), p = scratch + Gemm.ScratchFloats, dp = p + QueryBlock * KeyBlock, delta = dp + QueryBlock * KeyBlock;
            Gemm.None none = default;
            for (int q0 = 0; q0 < S.Queries; q0 += QueryBlock)
            {
                int queries = Math.Min(QueryBlock, S.Queries - q0), visible = Visible(S, q0, queries);
                for (int i = 0; i < queries; i++)
                {
                    delta[i] = RowMath.Dot(o + (long)(q0 + i) * d, dO + (long)(q0 + i) * d, d);
                }

                new Span<float>(dq + (long)q0 * d, queries * d).Clear();
                for (int k0 = 0; k0 < visible; k0 += KeyBlock)
                {
                    int keys = Math.Min(KeyBlock, visible - k0);
                    Gemm.Core(queries, keys, d, q + (long)q0 * d, d, false, k + (long)k0 * d, d, true, p, KeyBlock, false, scratch, ref none);
                    Gemm.Core(queries, keys, d, dO + (long)q0 * d, d, false, v + (long)k0 * d, d, true, dp, KeyBlock, false, scratch, ref none);
                    Mask(S, segments, p, q0, queries, k0, keys);
                    for (int i = 0; i < queries; i++)
                    {
                        Weights(p + i * KeyBlock, dp + i * KeyBlock, lse[q0 + i], delta[i], S.Scale, keys);
                    }

                    Gemm.Core(keys, d, queries, p, KeyBlock, true, dO + (long)q0 * d, d, false, dv + (long)k0 * d, d, true, scratch, ref none);
                    Gemm.Core(queries, d, keys, dp, KeyBlock, false, k + (long)k0 * d, d, false, dq + (long)q0 * d, d, true, scratch, ref none);
                    Gemm.Core(keys, d, queries, dp, KeyBlock, true, q + (long)q0 * d, d, false, dk + (long)k0 * d, d, true, scratch, ref none);
                }
            }
        }

        /// <summary>scores → P = exp(scale·score − lse), dP → dS = scale·P·(dP − delta).</summary>
        private static void Weights(float* p, float* dp, float lse, float delta, float scale, int n)
        {
            for (int i = 0; i < n; i += 16)
            {
                int count = Math.Min(16, n - i);
                Vector512<float> score = count == 16 ? Vector512.Load(p + i) : VectorMath.LoadPart(ref *p, i, count), dP = count == 16 ? Vector512.Load(dp + i) : VectorMath.LoadPart(ref *dp, i, count);
                Vector512<float> hidden = Vector512.Equals(score, Vector512.Create(float.NegativeInfinity));
                Vector512<float> w = float.IsNegativeInfinity(lse) ? default : Vector512.ConditionalSelect(hidden, default, VectorMath.Exp(score * Vector512.Create(scale) - Vector512.Create(lse)));
                Vector512<float> ds = w * (dP - Vector512.Create(delta)) * Vector512.Create(scale);
                if (count == 16)
                {
                    Vector512.Store(w, p + i);
                    Vector512.Store(ds, dp + i);
                }
                else
                {
                    VectorMath.StorePart(w, ref *p, i, count);
                    VectorMath.StorePart(ds, ref *dp, i, count);
                }
            }
        }
    }
}
