using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <content>Backward. Scores lie [queries, keys]: the sum of each row is known, and so a block of weights is at once the left operand, transposed, of the products that give
/// dk and dv; only the gradient of the scores is packed again, for dq. Blocks of queries follow each other in rising order.</content>
public static unsafe partial class Attention
{
    private const int BackwardQueries = 64;

    /// <summary>A multiple of the rows and of the columns of every tile.</summary>
    private const int BackwardKeys = 96;

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
                if ((S.HeadOffset + h) / S.HeadsPerKey != g)
                {
                    continue;
                }

                if (Vector512.IsHardwareAccelerated)
                {
                    Head<GemmTile512>(b, h, k, v, dk, dv, Team.Scratch(thread));
                }
                else if (Vector256.IsHardwareAccelerated)
                {
                    Head<GemmTile256>(b, h, k, v, dk, dv, Team.Scratch(thread));
                }
                else
                {
                    Head<GemmTile128>(b, h, k, v, dk, dv, Team.Scratch(thread));
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Head<TTile>(int b, int h, float* k, float* v, float* dk, float* dv, float* scratch)
            where TTile : struct, IGemmTile
        {
            int d = S.Width, tileRows = TTile.Rows, tileColumns = TTile.Columns, wide = RoundUp(d, tileColumns), high = RoundUp(BackwardQueries, tileRows);
            long head = ((long)b * S.Heads + h) * S.Queries;
            float* q = Q + head * d, o = O + head * d, dO = Do + head * d, dq = Dq + head * d, lse = Lse + head;
            int* segments = Segments == null ? null : Segments + (long)b * S.Queries;

            // scratch: edge; weights and gradients of scores [queries, keys]; the latter packed; a block of q and of dO, packed as left and as right operands; delta; then keys and values.
            float* weights = scratch + 12 * 32, gradients = weights + high * BackwardKeys, packedGradients = gradients + high * BackwardKeys;
            float* leftQ = packedGradients + high * BackwardKeys + GemmPack.Slack, leftO = leftQ + high * d + GemmPack.Slack;
            float* rightQ = leftO + high * d + GemmPack.Slack, rightO = rightQ + BackwardQueries * wide, delta = rightO + BackwardQueries * wide, panels = delta + BackwardQueries;
            int room = (int)(scratch + ThreadTeam.ScratchBytes / sizeof(float) - panels) - 3 * GemmPack.Slack;
            int chunk = Math.Min(RoundUp(S.Keys, tileColumns), room / (2 * d + wide) / BackwardKeys * BackwardKeys);
            if (chunk <= 0)
            {
                throw new ArgumentException($"Attention with heads of {d} does not fit the {ThreadTeam.ScratchBytes} bytes of scratch: use more, narrower heads.");
            }

            float* keysOfScores = panels, valuesOfScores = keysOfScores + chunk * d + GemmPack.Slack, keysOfQueries = valuesOfScores + chunk * d + GemmPack.Slack;
            new Span<float>(dq, S.Queries * d).Clear();
            for (int c0 = 0; c0 < S.Keys; c0 += chunk)
            {
                int chunkKeys = Math.Min(chunk, S.Keys - c0);
                GemmPack.Run(k + (long)c0 * d, d, false, chunkKeys, d, tileColumns, keysOfScores);
                GemmPack.Run(v + (long)c0 * d, d, false, chunkKeys, d, tileColumns, valuesOfScores);
                GemmPack.Run(k + (long)c0 * d, d, true, d, chunkKeys, tileColumns, keysOfQueries);
                for (int q0 = 0; q0 < S.Queries; q0 += BackwardQueries)
                {
                    int queries = Math.Min(BackwardQueries, S.Queries - q0), visible = Math.Min(Visible(S, q0, queries), c0 + chunkKeys);
                    if (visible <= c0)
                    {
                        continue;
                    }

                    float* qBlock = q + (long)q0 * d, oBlock = dO + (long)q0 * d;
                    GemmPack.Run(qBlock, d, false, queries, d, tileRows, leftQ);
                    RowMath.Scale(leftQ, S.Scale * Log2E, leftQ, RoundUp(queries, tileRows) * d);
                    GemmPack.Run(oBlock, d, false, queries, d, tileRows, leftO);
                    GemmPack.Run(qBlock, d, true, d, queries, tileColumns, rightQ);
                    GemmPack.Run(oBlock, d, true, d, queries, tileColumns, rightO);
                    for (int i = 0; i < queries; i++)
                    {
                        delta[i] = RowMath.Dot(o + (long)(q0 + i) * d, oBlock + (long)i * d, d);
                    }

                    for (int k0 = c0; k0 < visible; k0 += BackwardKeys)
                    {
                        int keys = Math.Min(BackwardKeys, visible - k0);
                        nint at = (nint)(k0 - c0) * d, panel = (nint)tileColumns * d;
                        Multiply<TTile>(queries, keys, d, leftQ, tileRows * d, tileRows, keysOfScores + at, panel, weights, BackwardKeys, false, true, scratch);
                        Multiply<TTile>(queries, keys, d, leftO, tileRows * d, tileRows, valuesOfScores + at, panel, gradients, BackwardKeys, false, true, scratch);
                        bool hidden = HasHidden(S, segments, q0, k0, keys);
                        if (hidden)
                        {
                            Hide(segments, weights, q0, queries, k0, keys);
                        }

                        Weigh(weights, gradients, lse + q0, delta, S.Scale, queries, keys, hidden);
                        Multiply<TTile>(keys, d, queries, weights, tileRows, BackwardKeys, rightO, (nint)tileColumns * queries, dv + (long)k0 * d, d, true, false, scratch);
                        Multiply<TTile>(keys, d, queries, gradients, tileRows, BackwardKeys, rightQ, (nint)tileColumns * queries, dk + (long)k0 * d, d, true, false, scratch);
                        GemmPack.Run(gradients, BackwardKeys, false, queries, keys, tileRows, packedGradients);
                        Multiply<TTile>(queries, d, keys, packedGradients, (nint)tileRows * keys, tileRows, keysOfQueries + (nint)(k0 - c0) * tileColumns, (nint)tileColumns * chunkKeys, dq + (long)q0 * d, d, true, false, scratch);
                    }
                }
            }
        }

        private readonly void Hide(int* segments, float* scores, int q0, int queries, int k0, int keys)
        {
            for (int i = 0; i < queries; i++)
            {
                int first = segments != null ? 0 : Math.Max(0, q0 + i + S.Keys - S.Queries + 1 - k0);
                for (int key = first; key < keys; key++)
                {
                    if (IsHidden(S, segments, q0 + i, k0 + key))
                    {
                        scores[i * BackwardKeys + key] = float.NegativeInfinity;
                    }
                }
            }
        }

        /// <summary>Scores, in units of log 2, to weights P = 2^(score − lse); dP to dS = scale·P·(dP − delta).</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
        private static void Weigh(float* weights, float* gradients, float* lse, float* delta, float scale, int queries, int keys, bool hidden)
        {
            for (int i = 0; i < queries; i++, weights += BackwardKeys, gradients += BackwardKeys)
            {
                if (float.IsNegativeInfinity(lse[i]))
                {
                    new Span<float>(weights, BackwardKeys).Clear();
                    new Span<float>(gradients, BackwardKeys).Clear();
                    continue;
                }

                if (Vector512.IsHardwareAccelerated)
                {
                    Weigh16(weights, gradients, lse[i] * Log2E, delta[i], scale, keys, hidden);
                }
                else
                {
                    Weigh8(weights, gradients, lse[i] * Log2E, delta[i], scale, keys, hidden);
                }
            }
        }
    }
}
