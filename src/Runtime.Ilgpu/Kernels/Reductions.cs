using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of reductions of the middle of [outer, count, inner].</summary>
public struct ReduceArguments
{
    /// <summary>Source and target; for gradients y, dy and dx.</summary>
    public ArrayView<float> X, Y, Dy, Dx;

    /// <summary>Partial sums in double precision.</summary>
    public ArrayView<double> Partial;

    /// <summary>Sizes.</summary>
    public long Outer, Count, Inner;

    /// <summary>Terms of a chunk.</summary>
    public long ChunkCount;

    /// <summary>Chunks of a sum.</summary>
    public int Chunks;

    /// <summary>1 for the largest, 0 for the smallest.</summary>
    public int IsMax;
}

/// <summary>Device code of reductions. Every sum has a fixed order: chunks of fixed size, then the chunks in order.</summary>
public static class ReduceKernels
{
    /// <summary>Rows: y [outer, chunks] from x [outer, count]; a group for each chunk.</summary>
    public static void Rows<TGroup>(ReduceArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        long outer = Grid.IdxX / a.Chunks, from = Grid.IdxX % a.Chunks * a.ChunkCount, to = Math.Min(from + a.ChunkCount, a.Count), start = outer * a.Count;
        float sum = 0;
        for (long i = from + Group.IdxX; i < to; i += TGroup.Threads)
        {
            sum += a.X[start + i];
        }

        sum = TGroup.Sum(sum, shared);
        if (Group.IdxX == 0)
        {
            a.Y[Grid.IdxX] = sum;
        }
    }

    /// <summary>Columns: y [outer, chunks, inner] from x [outer, count, inner]; a thread for each column of a chunk.</summary>
    public static void Columns(ReduceArguments a)
    {
        long items = a.Outer * a.Chunks * a.Inner;
        for (long item = DeviceMath.Thread(); item < items; item += DeviceMath.Threads())
        {
            long i = item % a.Inner, rest = item / a.Inner, from = rest % a.Chunks * a.ChunkCount, to = Math.Min(from + a.ChunkCount, a.Count);
            long at = (rest / a.Chunks * a.Count + from) * a.Inner + i;
            float sum = 0;
            for (long n = from; n < to; n++)
            {
                sum += a.X[at];
                at += a.Inner;
            }

            a.Y[item] = sum;
        }
    }

    /// <summary>The largest or smallest of a column.</summary>
    public static void Extreme(ReduceArguments a)
    {
        for (long item = DeviceMath.Thread(); item < a.Outer * a.Inner; item += DeviceMath.Threads())
        {
            long at = item / a.Inner * a.Count * a.Inner + item % a.Inner;
            float best = a.X[at];
            for (long n = 1; n < a.Count; n++)
            {
                at += a.Inner;
                float value = a.X[at];
                if (a.IsMax != 0 ? value > best : value < best)
                {
                    best = value;
                }
            }

            a.Y[item] = best;
        }
    }

    /// <summary>Its gradient, shared by equal elements.</summary>
    public static void ExtremeGradient(ReduceArguments a)
    {
        for (long item = DeviceMath.Thread(); item < a.Outer * a.Inner; item += DeviceMath.Threads())
        {
            long start = item / a.Inner * a.Count * a.Inner + item % a.Inner, at = start;
            float best = a.Y[item], gradient = a.Dy[item];
            int ties = 0;
            for (long n = 0; n < a.Count; n++)
            {
                if (a.X[at] == best)
                {
                    ties++;
                }

                at += a.Inner;
            }

            at = start;
            for (long n = 0; n < a.Count; n++)
            {
                a.Dx[at] = a.X[at] == best ? gradient / ties : 0f;
                at += a.Inner;
            }
        }
    }

    /// <summary>Σ x² of each thread's elements, in double precision.</summary>
    public static void Squares(ReduceArguments a)
    {
        double sum = 0;
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            double x = a.X[i];
            sum += x * x;
        }

        a.Partial[1 + DeviceMath.Thread()] = sum;
    }

    /// <summary>Adds what the threads have left, one group, in order; the sum goes to the front.</summary>
    public static void FoldSquares<TGroup>(ReduceArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<double> shared = SharedMemory.Allocate<double>(TGroup.Threads);
        int t = Group.IdxX;
        double sum = 0;
        for (long i = t; i < a.Count; i += TGroup.Threads)
        {
            sum += a.Partial[1 + i];
        }

        shared[t] = sum;
        Group.Barrier();
        if (t == 0)
        {
            for (int i = 1; i < TGroup.Threads; i++)
            {
                sum += shared[i];
            }

            a.Partial[0] = sum;
        }
    }
}

/// <summary>Sums in two passes: chunks into scratch, then the chunks in order.</summary>
internal static class ColumnFold
{
    private const int LeastRows = 32;

    /// <summary>Number of chunks that rows are cut into: enough to fill a device, of 32 rows at least, and as many as scratch holds.</summary>
    public static int Chunks(DeviceArena arena, long rows, long floatsOfChunk, out int chunkRows)
    {
        long most = Math.Min(Math.Min(256, (rows + LeastRows - 1) / LeastRows), arena.Scratch.Length / sizeof(float) / Math.Max(1, floatsOfChunk));
        chunkRows = checked((int)((rows + Math.Max(1, most) - 1) / Math.Max(1, most)));
        return (int)((rows + chunkRows - 1) / chunkRows);
    }

    /// <summary>target [outer, inner] = Σ over count of source [outer, count, inner].</summary>
    public static void Run(DeviceArena arena, long outer, long count, long inner, ArrayView<float> source, ArrayView<float> target) =>
        arena.Launch(ReduceKernels.Columns, Launches.Flat(arena, outer * inner), new ReduceArguments { X = source, Y = target, Outer = outer, Count = count, Inner = inner, ChunkCount = count, Chunks = 1 });
}

/// <summary>Launches of <see cref="ReduceKernels"/>.</summary>
public static class Reduce
{
    private const int RowChunk = 8192;

    /// <summary>y [outer, inner] = Σ over count of x [outer, count, inner].</summary>
    public static void Sum(DeviceArena arena, long outer, long count, long inner, Slice<float> x, Slice<float> y)
    {
        var arguments = new ReduceArguments { X = arena.View(x), Y = arena.View(y), Outer = outer, Count = count, Inner = inner };
        if (inner == 1)
        {
            // Long rows are cut so that one row fills the device; a row's chunks must fit into scratch.
            long most = Math.Max(1, arena.Scratch.Length / sizeof(float) / outer), chunk = Math.Max(RowChunk, (count + most - 1) / most);
            arguments.Chunks = checked((int)((count + chunk - 1) / chunk));
            arguments.ChunkCount = chunk;
            arguments.Y = arguments.Chunks == 1 ? arguments.Y : Launches.Scratch<float>(arena, outer * arguments.Chunks);
            arena.Launch(Launches.Pick<ReduceArguments>(arena, ReduceKernels.Rows<WarpGroup>, ReduceKernels.Rows<SharedGroup>, ReduceKernels.Rows<SmallGroup>), Launches.Groups(arena, outer * arguments.Chunks), arguments);
            if (arguments.Chunks > 1)
            {
                var fold = new ReduceArguments { X = arguments.Y, Y = arena.View(y), Outer = outer, Count = arguments.Chunks, Inner = 1, ChunkCount = arguments.Chunks, Chunks = 1 };
                arena.Launch(Launches.Pick<ReduceArguments>(arena, ReduceKernels.Rows<WarpGroup>, ReduceKernels.Rows<SharedGroup>, ReduceKernels.Rows<SmallGroup>), Launches.Groups(arena, outer), fold);
            }

            return;
        }

        int chunks = outer * inner >= 1 << 16 ? 1 : ColumnFold.Chunks(arena, count, outer * inner, out _);
        arguments.ChunkCount = (count + chunks - 1) / chunks;
        arguments.Chunks = (int)((count + arguments.ChunkCount - 1) / arguments.ChunkCount);
        arguments.Y = arguments.Chunks == 1 ? arguments.Y : Launches.Scratch<float>(arena, outer * arguments.Chunks * inner);
        arena.Launch(ReduceKernels.Columns, Launches.Flat(arena, outer * arguments.Chunks * inner), arguments);
        if (arguments.Chunks > 1)
        {
            ColumnFold.Run(arena, outer, arguments.Chunks, inner, arguments.Y, arena.View(y));
        }
    }

    /// <summary>y [outer, inner] = largest or smallest over count of x [outer, count, inner].</summary>
    public static void Extreme(DeviceArena arena, long outer, long count, long inner, bool isMax, Slice<float> x, Slice<float> y) =>
        arena.Launch(ReduceKernels.Extreme, Launches.Flat(arena, outer * inner), new ReduceArguments { X = arena.View(x), Y = arena.View(y), Outer = outer, Count = count, Inner = inner, IsMax = isMax ? 1 : 0 });

    /// <summary>dx from x, y and dy; equal elements share it.</summary>
    public static void ExtremeBackward(DeviceArena arena, long outer, long count, long inner, Slice<float> x, Slice<float> y, Slice<float> dy, Slice<float> dx) =>
        arena.Launch(ReduceKernels.ExtremeGradient, Launches.Flat(arena, outer * inner), new ReduceArguments { X = arena.View(x), Y = arena.View(y), Dy = arena.View(dy), Dx = arena.View(dx), Outer = outer, Count = count, Inner = inner });

    /// <summary>Σ x² in double precision, for the host.</summary>
    public static double SumOfSquares(DeviceArena arena, Slice<float> x)
    {
        KernelConfig config = Launches.Flat(arena, (x.Length + 63) / 64);
        long threads = config.GridDim.LongSize * config.GroupDim.LongSize, fit = arena.Scratch.Length / sizeof(double) - 1;
        if (threads > fit)
        {
            config = new KernelConfig(checked((int)Math.Max(1, fit / config.GroupDim.X)), config.GroupDim.X);
            threads = config.GridDim.LongSize * config.GroupDim.LongSize;
        }

        ArrayView<double> partial = Launches.Scratch<double>(arena, threads + 1);
        arena.Launch(ReduceKernels.Squares, config, new ReduceArguments { X = arena.View(x), Partial = partial, Count = x.Length });
        arena.Launch(Launches.Pick<ReduceArguments>(arena, ReduceKernels.FoldSquares<WarpGroup>, ReduceKernels.FoldSquares<SharedGroup>, ReduceKernels.FoldSquares<SmallGroup>), Launches.Groups(arena, 1), new ReduceArguments { Partial = partial, Count = threads });
        return arena.Read(new Slice<double>(arena.Scratch.Offset, 1))[0];
    }
}
