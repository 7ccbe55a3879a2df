using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of reductions of the middle of [outer, count, inner].</summary>
/// <typeparam name="TX">Element of what is reduced.</typeparam>
/// <typeparam name="TY">Element of results.</typeparam>
public struct ReduceArguments<TX, TY>
    where TX : unmanaged
    where TY : unmanaged
{
    /// <summary>Source, and its gradient.</summary>
    public ArrayView<TX> X, Dx;

    /// <summary>Target, and its gradient.</summary>
    public ArrayView<TY> Y, Dy;

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
    public static void Rows<TGroup, TX, TY>(ReduceArguments<TX, TY> a)
        where TGroup : struct, IGroup
        where TX : unmanaged
        where TY : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        long outer = Grid.IdxX / a.Chunks, from = Grid.IdxX % a.Chunks * a.ChunkCount, to = Math.Min(from + a.ChunkCount, a.Count), start = outer * a.Count;
        float sum = 0;
        for (long i = from + Group.IdxX; i < to; i += TGroup.Threads)
        {
            sum += Element.Load(a.X, start + i);
        }

        sum = TGroup.Sum(sum, shared);
        if (Group.IdxX == 0)
        {
            Element.Store(a.Y, Grid.IdxX, sum);
        }
    }

    /// <summary>Columns: y [outer, chunks, inner] from x [outer, count, inner]; a thread for each column of a chunk.</summary>
    public static void Columns<TX, TY>(ReduceArguments<TX, TY> a)
        where TX : unmanaged
        where TY : unmanaged
    {
        long items = a.Outer * a.Chunks * a.Inner;
        for (long item = DeviceMath.Thread(); item < items; item += DeviceMath.Threads())
        {
            long i = item % a.Inner, rest = item / a.Inner, from = rest % a.Chunks * a.ChunkCount, to = Math.Min(from + a.ChunkCount, a.Count);
            long at = (rest / a.Chunks * a.Count + from) * a.Inner + i;
            float sum = 0;
            for (long n = from; n < to; n++)
            {
                sum += Element.Load(a.X, at);
                at += a.Inner;
            }

            Element.Store(a.Y, item, sum);
        }
    }

    /// <summary>The largest or smallest of a column.</summary>
    public static void Extreme<TX, TY>(ReduceArguments<TX, TY> a)
        where TX : unmanaged
        where TY : unmanaged
    {
        for (long item = DeviceMath.Thread(); item < a.Outer * a.Inner; item += DeviceMath.Threads())
        {
            long at = item / a.Inner * a.Count * a.Inner + item % a.Inner;
            float best = Element.Load(a.X, at);
            for (long n = 1; n < a.Count; n++)
            {
                at += a.Inner;
                float value = Element.Load(a.X, at);
                if (a.IsMax != 0 ? value > best : value < best)
                {
                    best = value;
                }
            }

            Element.Store(a.Y, item, best);
        }
    }

    /// <summary>Its gradient, shared by equal elements.</summary>
    public static void ExtremeGradient<TX, TY>(ReduceArguments<TX, TY> a)
        where TX : unmanaged
        where TY : unmanaged
    {
        for (long item = DeviceMath.Thread(); item < a.Outer * a.Inner; item += DeviceMath.Threads())
        {
            long start = item / a.Inner * a.Count * a.Inner + item % a.Inner, at = start;
            float best = Element.Load(a.Y, item), gradient = Element.Load(a.Dy, item);
            int ties = 0;
            for (long n = 0; n < a.Count; n++)
            {
                if (Element.Load(a.X, at) == best)
                {
                    ties++;
                }

                at += a.Inner;
            }

            at = start;
            for (long n = 0; n < a.Count; n++)
            {
                Element.Store(a.Dx, at, Element.Load(a.X, at) == best ? gradient / ties : 0f);
                at += a.Inner;
            }
        }
    }

    /// <summary>Σ x² of each thread's elements, in double precision.</summary>
    public static void Squares<T>(ReduceArguments<T, T> a)
        where T : unmanaged
    {
        double sum = 0;
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            double x = Element.Load(a.X, i);
            sum += x * x;
        }

        a.Partial[1 + DeviceMath.Thread()] = sum;
    }

    /// <summary>Adds what the threads have left, one group, in order; the sum goes to the front.</summary>
    public static void FoldSquares<TGroup>(ReduceArguments<float, float> a)
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
    public static void Run<T>(DeviceArena arena, long outer, long count, long inner, ArrayView<float> source, ArrayView<T> target)
        where T : unmanaged =>
        arena.Launch(ReduceKernels.Columns<float, T>, Launches.Flat(arena, outer * inner), new ReduceArguments<float, T> { X = source, Y = target, Outer = outer, Count = count, Inner = inner, ChunkCount = count, Chunks = 1 });
}

/// <summary>Launches of <see cref="ReduceKernels"/>.</summary>
public static class Reduce
{
    private const int RowChunk = 8192;

    /// <summary>y [outer, inner] = Σ over count of x [outer, count, inner].</summary>
    public static void Sum<TX, TY>(DeviceArena arena, long outer, long count, long inner, Slice<TX> x, Slice<TY> y)
        where TX : unmanaged
        where TY : unmanaged
    {
        if (inner == 1)
        {
            // Long rows are cut so that one row fills the device; a row's chunks must fit into scratch.
            long most = Math.Max(1, arena.Scratch.Length / sizeof(float) / outer), chunk = Math.Max(RowChunk, (count + most - 1) / most);
            int parts = checked((int)((count + chunk - 1) / chunk));
            if (parts == 1)
            {
                Rows(arena, outer, count, chunk, parts, arena.View(x), arena.View(y));
                return;
            }

            ArrayView<float> sums = Launches.Scratch<float>(arena, outer * parts);
            Rows(arena, outer, count, chunk, parts, arena.View(x), sums);
            Rows(arena, outer, parts, parts, 1, sums, arena.View(y));
            return;
        }

        int chunks = outer * inner >= 1 << 16 ? 1 : ColumnFold.Chunks(arena, count, outer * inner, out _);
        long chunkCount = (count + chunks - 1) / chunks;
        chunks = (int)((count + chunkCount - 1) / chunkCount);
        if (chunks == 1)
        {
            Columns(arena, outer, count, inner, chunkCount, chunks, arena.View(x), arena.View(y));
            return;
        }

        ArrayView<float> partial = Launches.Scratch<float>(arena, outer * chunks * inner);
        Columns(arena, outer, count, inner, chunkCount, chunks, arena.View(x), partial);
        ColumnFold.Run(arena, outer, chunks, inner, partial, arena.View(y));
    }

    private static void Rows<TX, TY>(DeviceArena arena, long outer, long count, long chunk, int chunks, ArrayView<TX> x, ArrayView<TY> y)
        where TX : unmanaged
        where TY : unmanaged =>
        arena.Launch(
            Launches.Pick<ReduceArguments<TX, TY>>(arena, ReduceKernels.Rows<WarpGroup, TX, TY>, ReduceKernels.Rows<SharedGroup, TX, TY>, ReduceKernels.Rows<SmallGroup, TX, TY>), Launches.Groups(arena, outer * chunks),
            new ReduceArguments<TX, TY> { X = x, Y = y, Outer = outer, Count = count, Inner = 1, ChunkCount = chunk, Chunks = chunks });

    private static void Columns<TX, TY>(DeviceArena arena, long outer, long count, long inner, long chunk, int chunks, ArrayView<TX> x, ArrayView<TY> y)
        where TX : unmanaged
        where TY : unmanaged =>
        arena.Launch(ReduceKernels.Columns<TX, TY>, Launches.Flat(arena, outer * chunks * inner), new ReduceArguments<TX, TY> { X = x, Y = y, Outer = outer, Count = count, Inner = inner, ChunkCount = chunk, Chunks = chunks });

    /// <summary>y [outer, inner] = largest or smallest over count of x [outer, count, inner].</summary>
    public static void Extreme<TX, TY>(DeviceArena arena, long outer, long count, long inner, bool isMax, Slice<TX> x, Slice<TY> y)
        where TX : unmanaged
        where TY : unmanaged =>
        arena.Launch(ReduceKernels.Extreme<TX, TY>, Launches.Flat(arena, outer * inner), new ReduceArguments<TX, TY> { X = arena.View(x), Y = arena.View(y), Outer = outer, Count = count, Inner = inner, IsMax = isMax ? 1 : 0 });

    /// <summary>dx from x, y and dy; equal elements share it.</summary>
    public static void ExtremeBackward<TX, TY>(DeviceArena arena, long outer, long count, long inner, Slice<TX> x, Slice<TY> y, Slice<TY> dy, Slice<TX> dx)
        where TX : unmanaged
        where TY : unmanaged =>
        arena.Launch(ReduceKernels.ExtremeGradient<TX, TY>, Launches.Flat(arena, outer * inner), new ReduceArguments<TX, TY> { X = arena.View(x), Y = arena.View(y), Dy = arena.View(dy), Dx = arena.View(dx), Outer = outer, Count = count, Inner = inner });

    /// <summary>Σ x² in double precision, for the host.</summary>
    public static double SumOfSquares<T>(DeviceArena arena, Slice<T> x)
        where T : unmanaged
    {
        KernelConfig config = Launches.Flat(arena, (x.Length + 63) / 64);
        long threads = config.GridDim.LongSize * config.GroupDim.LongSize, fit = arena.Scratch.Length / sizeof(double) - 1;
        if (threads > fit)
        {
            config = new KernelConfig(checked((int)Math.Max(1, fit / config.GroupDim.X)), config.GroupDim.X);
            threads = config.GridDim.LongSize * config.GroupDim.LongSize;
        }

        ArrayView<double> partial = Launches.Scratch<double>(arena, threads + 1);
        arena.Launch(ReduceKernels.Squares<T>, config, new ReduceArguments<T, T> { X = arena.View(x), Partial = partial, Count = x.Length });
        arena.Launch(Launches.Pick<ReduceArguments<float, float>>(arena, ReduceKernels.FoldSquares<WarpGroup>, ReduceKernels.FoldSquares<SharedGroup>, ReduceKernels.FoldSquares<SmallGroup>), Launches.Groups(arena, 1), new ReduceArguments<float, float> { Partial = partial, Count = threads });
        return arena.Read(new Slice<double>(arena.Scratch.Offset, 1))[0];
    }
}
