using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <content>Backward. Scores lie [queries, keys]: the sum of each row is known. What is summed over rows, dk and dv, and what is summed over keys, dq, lies turned while it is
/// summed, [width, keys] and [width, queries]: so the rows of q, dO and k are left operands where they lie, a block of weights is a right operand as it is, and the width of a
/// head, narrow or odd, only cuts the rows of tiles. Blocks of queries follow each other in rising order. Beyond the diagonal of a causal block only tiles that it cuts are computed.</content>
public static unsafe partial class Attention
{
    private const int BackwardQueries = 64;

    /// <summary>A multiple of the rows and of the columns of every tile.</summary>
    private const int BackwardKeys = 96;

    /// <summary>The most rows that a tile has.</summary>
    private const int MostRows = 12;

    /// <summary>Heads this wide are copied into rows that do not fall on the same few sets of the first cache.</summary>
    private const int CopiedWidth = 128;

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
            bool first = true;
            for (int h = 0; h < S.Heads; h++)
            {
                if ((S.HeadOffset + h) / S.HeadsPerKey != g)
                {
                    continue;
                }

                if (Vector512.IsHardwareAccelerated)
                {
                    Head<GemmTile512>(b, h, k, v, dk, dv, first, Team.Scratch(thread));
                }
                else if (Vector256.IsHardwareAccelerated)
                {
                    Head<GemmTile256>(b, h, k, v, dk, dv, first, Team.Scratch(thread));
                }
                else
                {
                    Head<GemmTile128>(b, h, k, v, dk, dv, first, Team.Scratch(thread));
                }

                first = false;
            }

            if (first)
            {
                new Span<float>(dk, S.Keys * d).Clear();
                new Span<float>(dv, S.Keys * d).Clear();
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Head<TTile>(int b, int h, float* k, float* v, float* dk, float* dv, bool first, float* scratch)
            where TTile : struct, IGemmTile
        {
            int d = S.Width, tileRows = TTile.Rows, tileColumns = TTile.Columns, tall = RoundUp(d, MostRows);
            long head = ((long)b * S.Heads + h) * S.Queries;
            float* q = Q + head * d, o = O + head * d, dO = Do + head * d, dq = Dq + head * d, lse = Lse + head;
            int* segments = Segments == null ? null : Segments + (long)b * S.Queries;

            // A tile reads whole fours of rows of its left operand: rows of another width are copied too.
            bool inPlace = d % 4 == 0 && (d < CopiedWidth || d > 4 * CopiedWidth);
            int rowStride = inPlace ? d : RoundUp(d, 16) + 16, copied = inPlace ? 0 : rowStride;

            // scratch: weights and gradients of scores [queries, keys]; the latter turned; a block of q and of dO, packed; dq, turned; rows of q, dO and k, where they are copied; delta;
            // then keys and values, packed, and dk and dv, turned, in blocks of keys. None of the sizes depends on the tile: nor does the number of keys that are there at once.
            const int High = (BackwardQueries + MostRows - 1) / MostRows * MostRows;
            float* weights = scratch, gradients = weights + High * BackwardKeys, turned = gradients + High * BackwardKeys, leftQ = turned + BackwardKeys * 32 + GemmPack.Slack;
            float* leftO = leftQ + High * d + GemmPack.Slack, dqTurned = leftO + High * d + GemmPack.Slack;
            float* copyQ = dqTurned + tall * BackwardQueries, copyO = copyQ + BackwardQueries * copied, copyK = copyO + BackwardQueries * copied, delta = copyK + BackwardKeys * copied;
            float* panels = scratch + RoundUp((int)(delta + BackwardQueries - scratch), 16);
            int room = (int)(scratch + ThreadTeam.ScratchBytes / sizeof(float) - panels) - 2 * GemmPack.Slack;
            int chunk = Math.Min(RoundUp(S.Keys, BackwardKeys), room / (2 * d + 2 * tall) / BackwardKeys * BackwardKeys);
            if (chunk <= 0)
            {
                throw new ArgumentException($"Attention with heads of {d} does not fit the {ThreadTeam.ScratchBytes} bytes of scratch: use more, narrower heads.");
            }

            float* keysOfScores = panels, valuesOfScores = keysOfScores + chunk * d + GemmPack.Slack, dkTurned = valuesOfScores + chunk * d + GemmPack.Slack, dvTurned = dkTurned + chunk * tall;
            for (int c0 = 0; c0 < S.Keys; c0 += chunk)
            {
                int chunkKeys = Math.Min(chunk, S.Keys - c0);
                GemmPack.Run(k + (long)c0 * d, d, false, chunkKeys, d, tileColumns, keysOfScores);
                GemmPack.Run(v + (long)c0 * d, d, false, chunkKeys, d, tileColumns, valuesOfScores);
                new Span<float>(dkTurned, RoundUp(chunkKeys, BackwardKeys) * tall).Clear();
                new Span<float>(dvTurned, RoundUp(chunkKeys, BackwardKeys) * tall).Clear();
                for (int q0 = 0; q0 < S.Queries; q0 += BackwardQueries)
                {
                    int queries = Math.Min(BackwardQueries, S.Queries - q0), visible = Math.Min(Visible(S, q0, queries), c0 + chunkKeys);
                    float* qBlock = q + (long)q0 * d, oBlock = dO + (long)q0 * d;
                    if (visible <= c0)
                    {
                        if (c0 == 0)
                        {
                            new Span<float>(dq + (long)q0 * d, queries * d).Clear();
                        }

                        continue;
                    }

                    GemmPack.Run(qBlock, d, false, queries, d, tileRows, leftQ);
                    RowMath.Scale(leftQ, S.Scale * Log2E, leftQ, RoundUp(queries, tileRows) * d);
                    GemmPack.Run(oBlock, d, false, queries, d, tileRows, leftO);
                    float* rowsQ = Rows(qBlock, d, queries, rowStride, inPlace, copyQ), rowsO = Rows(oBlock, d, queries, rowStride, inPlace, copyO);
                    for (int i = 0; i < queries; i++)
                    {
                        delta[i] = RowMath.Dot(o + (long)(q0 + i) * d, oBlock + (long)i * d, d);
                    }

                    new Span<float>(dqTurned, tall * BackwardQueries).Clear();
                    var ahead = default(Ahead);
                    if (c0 == 0)
                    {
                        // The next block of queries, where this one ends up, and its share of where this head ends up and of the next head, whose keys are packed first.
                        long size = (long)BackwardQueries * d, share = size * S.Keys / S.Queries, at = (long)q0 * S.Keys / S.Queries * d;
                        ahead.Add(k + (long)S.Keys * d + at, share);
                        ahead.Add(v + (long)S.Keys * d + at, share);
                        ahead.Add(dk + at, share);
                        ahead.Add(dv + at, share);
                        ahead.Add(dq + (long)q0 * d, size);
                        ahead.Add(qBlock + size, size);
                        ahead.Add(oBlock + size, size);
                        ahead.Add(o + (long)(q0 + BackwardQueries) * d, size);
                    }

                    for (int k0 = c0; k0 < visible; k0 += BackwardKeys)
                    {
                        // Query i of the block sees the keys of the block up to i + diagonal.
                        int keys = Math.Min(BackwardKeys, visible - k0), diagonal = S.Causal ? q0 + S.Keys - S.Queries - k0 : BackwardKeys;
                        Scores<TTile>(queries, keys, d, diagonal, leftQ, leftO, keysOfScores + (nint)(k0 - c0) * d, valuesOfScores + (nint)(k0 - c0) * d, weights, gradients, ref ahead);
                        if (segments != null)
                        {
                            Hide(segments, weights, q0, queries, k0, keys);
                        }

                        Weigh(weights, gradients, lse + q0, delta, S.Scale, queries, keys, diagonal, segments != null);
                        OfKeys<TTile>(queries, keys, d, diagonal, rowsO, rowStride, weights, dvTurned + (nint)(k0 - c0) * tall, ref ahead);
                        OfKeys<TTile>(queries, keys, d, diagonal, rowsQ, rowStride, gradients, dkTurned + (nint)(k0 - c0) * tall, ref ahead);
                        OfQueries<TTile>(queries, keys, d, diagonal, Rows(k + (long)k0 * d, d, keys, rowStride, inPlace, copyK), rowStride, gradients, turned, dqTurned, ref ahead);
                    }

                    TurnBack(dqTurned, BackwardQueries, d, queries, dq + (long)q0 * d, c0 == 0, leftQ);
                }

                for (int k0 = 0; k0 < chunkKeys; k0 += BackwardKeys)
                {
                    int keys = Math.Min(BackwardKeys, chunkKeys - k0);
                    TurnBack(dkTurned + (nint)k0 * tall, BackwardKeys, d, keys, dk + (long)(c0 + k0) * d, first, leftQ);
                    TurnBack(dvTurned + (nint)k0 * tall, BackwardKeys, d, keys, dv + (long)(c0 + k0) * d, first, leftQ);
                }
            }
        }

        /// <summary>Rows that a tile can read as its left operand: where they lie, or a copy of them.</summary>
        private static float* Rows(float* rows, int width, int count, int stride, bool inPlace, float* copy)
        {
            for (int i = 0; i < count && !inPlace; i++)
            {
                new Span<float>(rows + (nint)i * width, width).CopyTo(new Span<float>(copy + (nint)i * stride, width));
            }

            return inPlace ? rows : copy;
        }

        /// <summary>Scores and the gradients of weights, [queries, keys], of the tiles that a query sees anything of.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Scores<TTile>(int queries, int keys, int d, int diagonal, float* leftQ, float* leftO, float* rightK, float* rightV, float* scores, float* gradients, ref Ahead ahead)
            where TTile : struct, IGemmTile
        {
            for (int j = 0; j < keys; j += TTile.Columns)
            {
                for (int i = Math.Max(0, j - diagonal) / TTile.Rows * TTile.Rows; i < queries; i += TTile.Rows)
                {
                    ahead.Ask();
                    int rows = Math.Min(TTile.Rows, queries - i);
                    TTile.Run(rows, TTile.Columns, d, leftQ + i * d, TTile.Rows, rightK + j * d, TTile.Columns, scores + i * BackwardKeys + j, BackwardKeys, false);
                    TTile.Run(rows, TTile.Columns, d, leftO + i * d, TTile.Rows, rightV + j * d, TTile.Columns, gradients + i * BackwardKeys + j, BackwardKeys, false);
                }
            }
        }

        /// <summary>sums [width, keys] += rowsᵀ · factors [queries, keys], from the first query on that sees any key of a tile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void OfKeys<TTile>(int queries, int keys, int d, int diagonal, float* rows, int rowStride, float* factors, float* sums, ref Ahead ahead)
            where TTile : struct, IGemmTile
        {
            for (int j = 0; j < keys; j += TTile.Columns)
            {
                int from = Math.Max(0, j - diagonal);
                for (int i = 0; i < d; i += TTile.Rows)
                {
                    ahead.Ask();
                    TTile.Run(Math.Min(TTile.Rows, d - i), TTile.Columns, queries - from, rows + from * rowStride + i, rowStride, factors + from * BackwardKeys + j, BackwardKeys, sums + i * BackwardKeys + j, BackwardKeys, true);
                }
            }
        }

        /// <summary>sums [width, queries] += rowsᵀ · factors [queries, keys]ᵀ, up to the last key that any query of a tile sees.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void OfQueries<TTile>(int queries, int keys, int d, int diagonal, float* rows, int rowStride, float* factors, float* turned, float* sums, ref Ahead ahead)
            where TTile : struct, IGemmTile
        {
            for (int j = 0; j < queries; j += TTile.Columns)
            {
                int lanes = Math.Min(TTile.Columns, queries - j), depth = Math.Clamp(j + lanes + diagonal, 0, keys);
                if (depth == 0)
                {
                    continue;
                }

                GemmPack.Run(factors + j * BackwardKeys, BackwardKeys, false, lanes, depth, TTile.Columns, turned);
                for (int i = 0; i < d; i += TTile.Rows)
                {
                    ahead.Ask();
                    TTile.Run(Math.Min(TTile.Rows, d - i), TTile.Columns, depth, rows + i, rowStride, turned, TTile.Columns, sums + i * BackwardQueries + j, BackwardQueries, true);
                }
            }
        }

        /// <summary>target [count, width] = sums [width, count], or added to it, a few rows at a time.</summary>
        private static void TurnBack(float* sums, int stride, int width, int count, float* target, bool overwrite, float* room)
        {
            for (int i = 0; i < count; i += BackwardQueries)
            {
                int rows = Math.Min(BackwardQueries, count - i);
                GemmPack.Turn(sums + i, stride, width, rows, overwrite ? target + (nint)i * width : room);
                if (!overwrite)
                {
                    RowMath.AddTo(room, target + (nint)i * width, rows * width);
                }
            }
        }

        private readonly void Hide(int* segments, float* scores, int q0, int queries, int k0, int keys)
        {
            for (int i = 0; i < queries; i++)
            {
                for (int key = 0; key < keys; key++)
                {
                    if (segments[q0 + i] != segments[k0 + key])
                    {
                        scores[i * BackwardKeys + key] = float.NegativeInfinity;
                    }
                }
            }
        }

        /// <summary>Scores, in units of log 2, to weights P = 2^(score − lse); dP to dS = scale·P·(dP − delta). Behind the last key that a query sees lie zeros, for a tile reads on.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
        private static void Weigh(float* weights, float* gradients, float* lse, float* delta, float scale, int queries, int keys, int diagonal, bool hidden)
        {
            for (int i = 0; i < queries; i++, weights += BackwardKeys, gradients += BackwardKeys)
            {
                int seen = float.IsNegativeInfinity(lse[i]) ? 0 : Math.Clamp(i + diagonal + 1, 0, keys);
                if (Vector512.IsHardwareAccelerated)
                {
                    Weigh16(weights, gradients, lse[i] * Log2E, delta[i], scale, seen, hidden);
                }
                else
                {
                    Weigh8(weights, gradients, lse[i] * Log2E, delta[i], scale, seen, hidden);
                }

                if (seen < BackwardKeys)
                {
                    new Span<float>(weights + seen, BackwardKeys - seen).Clear();
                    new Span<float>(gradients + seen, BackwardKeys - seen).Clear();
                }
            }
        }
    }
}
