using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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

/// <summary>Scaled dot-product attention with streaming softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135): blocks of queries meet blocks of
/// keys, the matrix of all scores is never in memory, backward computes the scores again. q [batch, heads, queries, width], k and v [batch, keyHeads, keys, width].</summary>
public static unsafe partial class Attention
{
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

    /// <summary>Pieces of memory that are wanted soon: each tile of a product asks for a few lines of them. Packing the rows of a head, and turning its results back, would wait for memory
    /// line by line; asking for all of it at once would make the products wait. Beyond the last head it asks for nothing that is there.</summary>
    private struct Ahead
    {
        private const int Most = 8, LinesOfTile = 12, Line = 16;

        private fixed long _starts[Most];
        private fixed int _lines[Most];
        private int _pieces;

        /// <summary>Wants a piece.</summary>
        public void Add(float* start, long floats)
        {
            _starts[_pieces] = (long)start;
            _lines[_pieces++] = (int)((floats + Line - 1) / Line);
        }

        /// <summary>Asks for what is due with one tile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Ask()
        {
            if (_pieces > 0)
            {
                Some();
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private void Some()
        {
            for (int left = LinesOfTile; left > 0 && _pieces > 0 && Sse.IsSupported; left--)
            {
                int piece = _pieces - 1;
                if (_lines[piece]-- <= 0)
                {
                    _pieces--;
                    continue;
                }

                Sse.Prefetch1((void*)_starts[piece]);
                _starts[piece] += Line * sizeof(float);
            }
        }
    }

    private static int RoundUp(int size, int unit) => (size + unit - 1) / unit * unit;

    /// <summary>C (+)= A·B over packed panels, or an A whose depth steps through memory. C has room for whole tiles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply<TTile>(int rows, int columns, int depth, float* a, nint panelA, nint stepA, float* b, nint panelB, float* c, nint stride, bool accumulate, ref Ahead ahead)
        where TTile : struct, IGemmTile
    {
        for (int j = 0; j < columns; j += TTile.Columns, b += panelB)
        {
            float* pa = a, target = c + j;
            for (int i = 0; i < rows; i += TTile.Rows, pa += panelA, target += TTile.Rows * stride)
            {
                ahead.Ask();
                TTile.Run(Math.Min(TTile.Rows, rows - i), TTile.Columns, depth, pa, stepA, b, TTile.Columns, target, stride, accumulate);
            }
        }
    }

    private const float Log2E = 1.44269504f, Log2 = 0.693147182f;
}
