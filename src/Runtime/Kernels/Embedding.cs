using System.Runtime.CompilerServices;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Rows of a table by index, and the gradient of the table. A rank may hold a slice of the rows.</summary>
public static unsafe class Embedding
{
    /// <summary>y [rows, n] = table[ids − offset]; zeros for ids that lie on other ranks.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id lies outside of the whole table.</exception>
    public static void Forward(ThreadTeam team, int rows, int n, int offset, int count, int total, ref int ids, ref float table, ref float y) =>
        Elementwise.Rows(team, rows, n, new ForwardBody { N = n, Offset = offset, Count = count, Total = total, Ids = (int*)Unsafe.AsPointer(ref ids), Table = (float*)Unsafe.AsPointer(ref table), Y = (float*)Unsafe.AsPointer(ref y) });

    /// <summary>dTable [count, n], overwritten: rows are added in rising order, columns are cut over the threads.</summary>
    public static void Backward(ThreadTeam team, int rows, int n, int offset, int count, ref int ids, ref float dy, ref float dTable) =>
        ColumnSums.Run(team, rows, n, new BackwardBody { N = n, Rows = rows, Offset = offset, Count = count, Ids = (int*)Unsafe.AsPointer(ref ids), Dy = (float*)Unsafe.AsPointer(ref dy), Table = (float*)Unsafe.AsPointer(ref dTable) });

    private struct ForwardBody : IRangeBody
    {
        public int N, Offset, Count, Total;
        public int* Ids;
        public float* Table, Y;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                int id = Ids[row];
                if ((uint)id >= (uint)Total)
                {
                    throw new ArgumentOutOfRangeException("ids", $"Id {id} at position {row} lies outside of the table's {Total} rows.");
                }

                var y = new Span<float>(Y + row * N, N);
                long own = (long)id - Offset;
                if (own >= 0 && own < Count)
                {
                    new Span<float>(Table + own * N, N).CopyTo(y);
                }
                else
                {
                    y.Clear();
                }
            }
        }
    }

    private struct BackwardBody : IRangeBody
    {
        public int N, Rows, Offset, Count;
        public int* Ids;
        public float* Dy, Table;

        public void Run(long from, long to)
        {
            int width = (int)(to - from);
            for (int v = 0; v < Count; v++)
            {
                new Span<float>(Table + (long)v * N + from, width).Clear();
            }

            for (int row = 0; row < Rows; row++)
            {
                long own = (long)Ids[row] - Offset;
                if (own >= 0 && own < Count)
                {
                    RowMath.AddTo(Dy + (long)row * N + from, Table + own * N + from, width);
                }
            }
        }
    }
}
