using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <content>Forward. Scores lie transposed, [keys, queries]: maxima and sums of softmax are taken lane by lane, and a block of weights is at once the packed right
/// operand of the product with the values. Keys and values of a head are packed once where they fit in scratch, else once for each group of queries.</content>
public static unsafe partial class Attention
{
    private const int QueryBlock = 32;

    /// <summary>Keys of a block of scores: a multiple of the rows of every tile.</summary>
    private const int KeyBlock = 240;

    private struct ForwardBody : IParallelBody
    {
        public ThreadTeam Team;
        public AttentionShape S;
        public float* Q, K, V, O, Lse;
        public int* Segments;

        public void Run(int part, int thread)
        {
            if (Vector512.IsHardwareAccelerated)
            {
                Head<GemmTile512>(part, Team.Scratch(thread));
            }
            else if (Vector256.IsHardwareAccelerated)
            {
                Head<GemmTile256>(part, Team.Scratch(thread));
            }
            else
            {
                Head<GemmTile128>(part, Team.Scratch(thread));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Head<TTile>(int part, float* scratch)
            where TTile : struct, IGemmTile
        {
            int b = part / S.Heads, h = part % S.Heads, d = S.Width, tileRows = TTile.Rows, tileColumns = TTile.Columns, wide = RoundUp(d, tileRows);
            long keyHead = (long)b * S.KeyHeads + (S.HeadOffset + h) / S.HeadsPerKey;
            float* q = Q + (long)part * S.Queries * d, o = O + (long)part * S.Queries * d, lse = Lse + (long)part * S.Queries;
            float* k = K + keyHead * S.Keys * d, v = V + keyHead * S.Keys * d;
            int* segments = Segments == null ? null : Segments + (long)b * S.Queries;

            // Values of narrow heads are a left operand as they are: a tile reads whole fours of rows of it.
            bool inPlace = d % 4 == 0 && d <= 32;

            // scratch: edge, scores [keys, queries], then for each block of a group: queries [width, queries], output [width, queries], maxima, sums; then keys and values.
            int stateFloats = QueryBlock * (d + wide + 2), blocks = Math.Clamp(128 * 1024 / stateFloats, 1, 8);
            float* scores = scratch + 12 * 32, states = scores + KeyBlock * QueryBlock, panels = states + RoundUp(blocks * stateFloats, 16);
            int chunk = Math.Min(RoundUp(S.Keys, tileRows), ((int)(scratch + ThreadTeam.ScratchBytes / sizeof(float) - panels) - 4 * GemmPack.Slack) / (d + wide) / KeyBlock * KeyBlock);
            if (chunk <= 0)
            {
                throw new ArgumentException($"Attention with heads of {d} does not fit the {ThreadTeam.ScratchBytes} bytes of scratch: use more, narrower heads.");
            }

            float* keyPanels = panels, valuePanels = panels + RoundUp(chunk * d, 16) + GemmPack.Slack;
            int packed = -1;
            for (int group = 0; group < S.Queries; group += blocks * QueryBlock)
            {
                int groupQueries = Math.Min(blocks * QueryBlock, S.Queries - group), groupVisible = Visible(S, group, groupQueries);
                for (int q0 = 0; q0 < groupQueries; q0 += QueryBlock)
                {
                    float* state = states + q0 / QueryBlock * stateFloats;
                    int queries = Math.Min(QueryBlock, groupQueries - q0);
                    new Span<float>(state, stateFloats).Clear();
                    GemmPack.Run(q + (long)(group + q0) * d, d, false, queries, d, tileColumns, state);
                    RowMath.Scale(state, S.Scale * Log2E, state, QueryBlock * d);
                    new Span<float>(state + QueryBlock * (d + wide), QueryBlock).Fill(float.NegativeInfinity);
                }

                for (int c0 = 0; c0 < groupVisible; c0 += chunk)
                {
                    int chunkKeys = Math.Min(chunk, S.Keys - c0);
                    if (packed != c0)
                    {
                        GemmPack.Run(k + (long)c0 * d, d, false, chunkKeys, d, tileRows, keyPanels);
                        if (!inPlace)
                        {
                            GemmPack.Run(v + (long)c0 * d, d, true, d, chunkKeys, tileRows, valuePanels);
                        }

                        packed = c0;
                    }

                    for (int q0 = 0; q0 < groupQueries; q0 += QueryBlock)
                    {
                        int queries = Math.Min(QueryBlock, groupQueries - q0), visible = Math.Min(Visible(S, group + q0, queries), c0 + chunkKeys);
                        float* state = states + q0 / QueryBlock * stateFloats, output = state + QueryBlock * d, max = output + QueryBlock * wide;
                        var ahead = default(Ahead);
                        if (c0 == 0)
                        {
                            // Where this block ends up; its share of the next head, whose keys are packed first.
                            long share = (long)QueryBlock * d, next = (long)S.Keys * d + (group + q0) * (long)S.Keys / S.Queries * d;
                            ahead.Add(q + (long)(S.Queries + group + q0) * d, share);
                            ahead.Add(v + next, share * S.Keys / S.Queries);
                            ahead.Add(k + next, share * S.Keys / S.Queries);
                            ahead.Add(o + (long)(group + q0) * d, share);
                        }

                        for (int k0 = c0; k0 < visible; k0 += KeyBlock)
                        {
                            int keys = Math.Min(KeyBlock, visible - k0);
                            for (int j = 0; j < QueryBlock; j += tileColumns)
                            {
                                Multiply<TTile>(keys, tileColumns, d, keyPanels + (nint)(k0 - c0) * d, tileRows * d, tileRows, state + j * d, 0, scores + j * KeyBlock, tileColumns, false, ref ahead);
                            }

                            // Query i of the block sees the keys of the block up to i + diagonal.
                            int diagonal = S.Causal ? group + q0 + S.Keys - S.Queries - k0 : KeyBlock;
                            if (segments != null)
                            {
                                Hide(segments, scores, tileColumns, group + q0, queries, k0, keys);
                            }

                            for (int j = 0; j < QueryBlock; j += Lanes)
                            {
                                int inPanel = j % tileColumns;
                                Weights(scores + (j - inPanel) * KeyBlock + inPanel, tileColumns, keys, segments != null ? 0 : Math.Clamp(j + diagonal + 1, 0, keys), j + diagonal, max + j, output + (j - inPanel) * wide + inPanel, d);
                            }

                            for (int j = 0; j < QueryBlock; j += tileColumns)
                            {
                                Multiply<TTile>(d, tileColumns, keys, inPlace ? v + (long)k0 * d : valuePanels + (nint)(k0 - c0) * tileRows, inPlace ? tileRows : (nint)tileRows * chunkKeys, inPlace ? d : tileRows, scores + j * KeyBlock, 0, output + j * wide, tileColumns, true, ref ahead);
                            }
                        }
                    }
                }

                for (int q0 = 0; q0 < groupQueries; q0 += QueryBlock)
                {
                    float* state = states + q0 / QueryBlock * stateFloats;
                    Finish(state + QueryBlock * d, wide, tileColumns, Math.Min(QueryBlock, groupQueries - q0), d, o + (long)(group + q0) * d, lse + group + q0);
                }
            }
        }

        private readonly void Hide(int* segments, float* scores, int tileColumns, int q0, int queries, int k0, int keys)
        {
            for (int i = 0; i < queries; i++)
            {
                float* column = scores + i / tileColumns * tileColumns * KeyBlock + i % tileColumns;
                for (int key = 0; key < keys; key++)
                {
                    if (segments[q0 + i] != segments[k0 + key])
                    {
                        column[(nint)key * tileColumns] = float.NegativeInfinity;
                    }
                }
            }
        }

        /// <summary>o = output / sum, turned to [queries, width]; lse = ln Σ exp.</summary>
        private static void Finish(float* output, int wide, int tileColumns, int queries, int width, float* o, float* lse)
        {
            float* max = output + QueryBlock * wide, sum = max + QueryBlock;
            for (int i = 0; i < QueryBlock; i += 8)
            {
                Vector256<float> sums = Vector256.Load(sum + i), value = Vector256.FusedMultiplyAdd(Vector256.Load(max + i), Vector256.Create(Log2), VectorMath.Log(sums));
                Vector256.Store(Vector256.ConditionalSelect(Vector256.Equals(sums, default), default, Vector256.Create(1f) / sums), sum + i);
                if (queries - i >= 8)
                {
                    Vector256.Store(value, lse + i);
                }
                else
                {
                    VectorMath.StorePart(value, ref *lse, i, Math.Max(0, queries - i));
                }
            }

            for (int j = 0; j < queries; j += tileColumns)
            {
                float* panel = output + j * wide;
                for (int i = 0; i < width; i++)
                {
                    for (int lane = 0; lane < tileColumns; lane += 16)
                    {
                        Vector512.Store(Vector512.Load(panel + i * tileColumns + lane) * Vector512.Load(sum + j + lane), panel + i * tileColumns + lane);
                    }
                }

                GemmPack.Turn(panel, tileColumns, width, Math.Min(tileColumns, queries - j), o + (long)j * width);
            }
        }
    }
}
