using System.Runtime.CompilerServices;
using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>What happens to an element of a product while it is in a register.</summary>
public interface IProductEpilogue
{
    /// <summary>Stores what becomes of an element.</summary>
    void Store(long row, int column, float value);
}

/// <summary>Arguments of a product of row-major matrices.</summary>
/// <typeparam name="T">Element of factors and product.</typeparam>
/// <typeparam name="TEpilogue">Work on each element.</typeparam>
public struct ProductArguments<T, TEpilogue>
    where T : unmanaged
    where TEpilogue : unmanaged, IProductEpilogue
{
    /// <summary>Factors and product; C is read only where it is added to.</summary>
    public ArrayView<T> A, B, C;

    /// <summary>Sizes.</summary>
    public int M, N, K;

    /// <summary>1 where A is stored [k, m], or B [n, k].</summary>
    public int TransposeA, TransposeB;

    /// <summary>1 where rows of A, or of B, may be read four elements at a time.</summary>
    public int VectorA, VectorB;

    /// <summary>1 where the product is added to C.</summary>
    public int Accumulate;

    /// <summary>Work on each element.</summary>
    public TEpilogue Epilogue;
}

/// <summary>Stores elements in C as they are.</summary>
/// <typeparam name="T">Their element.</typeparam>
public struct PlainEpilogue<T> : IProductEpilogue
    where T : unmanaged
{
    /// <summary>The product, row-major.</summary>
    public ArrayView<T> C;

    /// <summary>Columns.</summary>
    public int N;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(long row, int column, float value) => Element.Store(C, row * N + column, value);
}

/// <summary>Device code of matrix products: tiles in shared memory, two of them in turn, so that the next is loaded while one is used. The order of sums along k is fixed.</summary>
public static class ProductKernels
{
    /// <summary>Side of the tile of C that a group of 256 computes, 4 × 4 elements a thread; a quarter of it is the depth of a step, so that each thread loads one quad of A and one of B.</summary>
    public const int Side = 64;

    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>C tile of group (x, y) of batch z. Rows of tiles are padded by one quad.</summary>
    public static void Tile<T, TEpilogue>(ProductArguments<T, TEpilogue> a)
        where T : unmanaged
        where TEpilogue : unmanaged, IProductEpilogue
    {
        ArrayView<Float4> sa = SharedMemory.Allocate<Float4>(2 * (Side / 4) * (Side / 4 + 1)), sb = SharedMemory.Allocate<Float4>(2 * (Side / 4) * (Side / 4 + 1));
        ArrayView<float> fa = sa.Cast<float>(), fb = sb.Cast<float>();
        int depth = Side / 4, pitch = depth + 1, t = Group.IdxX, tx = t % depth, ty = t / depth, m0 = Grid.IdxY * Side, n0 = Grid.IdxX * Side;
        ArrayView<T> ga = a.A.SubView((long)Grid.IdxZ * a.M * a.K, (long)a.M * a.K), gb = a.B.SubView((long)Grid.IdxZ * a.K * a.N, (long)a.K * a.N);

        // One quad of A and of B for each thread: along the stored rows. A tile holds [depth, side].
        int quads = depth / 4, la = t / quads, ka = t % quads * 4, kt = t / depth, lt = t % depth * 4;
        Float4 qa, qb;
        Load(ga, a.TransposeA, a.VectorA, m0, a.M, a.K, 0, la, ka, kt, lt, out qa);
        Load(gb, 1 - a.TransposeB, a.VectorB, n0, a.N, a.K, 0, la, ka, kt, lt, out qb);
        Keep(sa, fa, a.TransposeA, 0, pitch, la, ka, kt, lt, qa);
        Keep(sb, fb, 1 - a.TransposeB, 0, pitch, la, ka, kt, lt, qb);
        Float4 c0 = default, c1 = default, c2 = default, c3 = default;
        Group.Barrier();
        int half = 0;
        for (int k0 = 0; k0 < a.K; k0 += depth)
        {
            int more = 0;
            if (k0 + depth < a.K)
            {
                more = 1;
                Load(ga, a.TransposeA, a.VectorA, m0, a.M, a.K, k0 + depth, la, ka, kt, lt, out qa);
                Load(gb, 1 - a.TransposeB, a.VectorB, n0, a.N, a.K, k0 + depth, la, ka, kt, lt, out qb);
            }

            int pa = half * depth * pitch + ty, pb = half * depth * pitch + tx;
            for (int k = 0; k < depth; k += 2)
            {
                ArrayView<Float4> va = sa.SubView(pa, pitch + 1), vb = sb.SubView(pb, pitch + 1);
                Float4 x = va[0], y = vb[0];
                Multiply(ref c0, x.X, y);
                Multiply(ref c1, x.Y, y);
                Multiply(ref c2, x.Z, y);
                Multiply(ref c3, x.W, y);
                x = va[depth + 1];
                y = vb[depth + 1];
                Multiply(ref c0, x.X, y);
                Multiply(ref c1, x.Y, y);
                Multiply(ref c2, x.Z, y);
                Multiply(ref c3, x.W, y);
                pa += 2 * pitch;
                pb += 2 * pitch;
            }

            half ^= 1;
            if (more != 0)
            {
                Keep(sa, fa, a.TransposeA, half * depth * pitch, pitch, la, ka, kt, lt, qa);
                Keep(sb, fb, 1 - a.TransposeB, half * depth * pitch, pitch, la, ka, kt, lt, qb);
            }

            Group.Barrier();
        }

        long batch = (long)Grid.IdxZ * a.M;
        Row(a, batch, m0 + ty * 4, n0 + tx * 4, c0);
        Row(a, batch, m0 + ty * 4 + 1, n0 + tx * 4, c1);
        Row(a, batch, m0 + ty * 4 + 2, n0 + tx * 4, c2);
        Row(a, batch, m0 + ty * 4 + 3, n0 + tx * 4, c3);
    }

    /// <summary>4 × 4 elements of C for each thread, of batch z, from memory: for accelerators with small groups. Those are processors, which have caches, and where a barrier costs far more than it saves. The order of sums is that of tiles.</summary>
    public static void Blocks<T, TEpilogue>(ProductArguments<T, TEpilogue> a)
        where T : unmanaged
        where TEpilogue : unmanaged, IProductEpilogue
    {
        ArrayView<T> ga = a.A.SubView((long)Grid.IdxZ * a.M * a.K, (long)a.M * a.K), gb = a.B.SubView((long)Grid.IdxZ * a.K * a.N, (long)a.K * a.N);
        long columns = ((long)a.N + 3) / 4, items = columns * (((long)a.M + 3) / 4), batch = (long)Grid.IdxZ * a.M;
        for (long item = DeviceMath.Thread(); item < items; item += DeviceMath.Threads())
        {
            int m0 = (int)(item / columns) * 4, n0 = (int)(item % columns) * 4;
            Float4 c0 = default, c1 = default, c2 = default, c3 = default;
            for (int k = 0; k < a.K; k++)
            {
                Lanes(ga, a.TransposeA, a.VectorA, m0, a.M, a.K, k, out Float4 x);
                Lanes(gb, 1 - a.TransposeB, a.VectorB, n0, a.N, a.K, k, out Float4 y);
                Multiply(ref c0, x.X, y);
                Multiply(ref c1, x.Y, y);
                Multiply(ref c2, x.Z, y);
                Multiply(ref c3, x.W, y);
            }

            Row(a, batch, m0, n0, c0);
            Row(a, batch, m0 + 1, n0, c1);
            Row(a, batch, m0 + 2, n0, c2);
            Row(a, batch, m0 + 3, n0, c3);
        }
    }

    /// <summary>Elements of four lanes of a factor at one place of the depth; zeros beyond the last lane.</summary>
    [MethodImpl(Inline)]
    private static void Lanes<T>(ArrayView<T> g, int alongLanes, int vector, int lane0, int lanes, int depth, int k, out Float4 quad)
        where T : unmanaged
    {
        quad = default;
        long at = (long)lane0 * depth + k, step = depth;
        if (alongLanes != 0)
        {
            at = (long)k * lanes + lane0;
            step = 1;
        }

        if (alongLanes != 0 & vector != 0)
        {
            quad = Element.LoadQuad(g, at >> 2);
        }
        else
        {
            quad.X = Element.Load(g, at);
            if (lane0 + 1 < lanes)
            {
                quad.Y = Element.Load(g, at + step);
            }

            if (lane0 + 2 < lanes)
            {
                quad.Z = Element.Load(g, at + 2 * step);
            }

            if (lane0 + 3 < lanes)
            {
                quad.W = Element.Load(g, at + 3 * step);
            }
        }
    }

    /// <summary>Four elements of a factor: along the lanes where it is stored [depth, lanes], else along the depth; zeros beyond its borders.</summary>
    [MethodImpl(Inline)]
    private static void Load<T>(ArrayView<T> g, int alongLanes, int vector, int lane0, int lanes, int depth, int k0, int la, int ka, int kt, int lt, out Float4 quad)
        where T : unmanaged
    {
        quad = default;
        int outer = k0 + kt, outers = depth, inner = lane0 + lt, inners = lanes;
        if (alongLanes == 0)
        {
            outer = lane0 + la;
            outers = lanes;
            inner = k0 + ka;
            inners = depth;
        }

        if (outer < outers & inner < inners)
        {
            long at = (long)outer * inners + inner;
            if (vector != 0)
            {
                quad = Element.LoadQuad(g, at >> 2);
            }
            else
            {
                quad.X = Element.Load(g, at);
                if (inner + 1 < inners)
                {
                    quad.Y = Element.Load(g, at + 1);
                }

                if (inner + 2 < inners)
                {
                    quad.Z = Element.Load(g, at + 2);
                }

                if (inner + 3 < inners)
                {
                    quad.W = Element.Load(g, at + 3);
                }
            }
        }
    }

    /// <summary>Puts a quad into a tile [depth, side], turned where it lies along the depth.</summary>
    [MethodImpl(Inline)]
    private static void Keep(ArrayView<Float4> quads, ArrayView<float> floats, int alongLanes, int start, int pitch, int la, int ka, int kt, int lt, Float4 quad)
    {
        if (alongLanes != 0)
        {
            quads[start + kt * pitch + (lt >> 2)] = quad;
        }
        else
        {
            int at = (start + ka * pitch) * 4 + la, step = pitch * 4;
            floats[at] = quad.X;
            floats[at + step] = quad.Y;
            floats[at + 2 * step] = quad.Z;
            floats[at + 3 * step] = quad.W;
        }
    }

    [MethodImpl(Inline)]
    private static void Multiply(ref Float4 c, float x, Float4 y)
    {
        c.X += x * y.X;
        c.Y += x * y.Y;
        c.Z += x * y.Z;
        c.W += x * y.W;
    }

    [MethodImpl(Inline)]
    private static void Row<T, TEpilogue>(in ProductArguments<T, TEpilogue> a, long batch, int row, int column, Float4 value)
        where T : unmanaged
        where TEpilogue : unmanaged, IProductEpilogue
    {
        if (row < a.M)
        {
            Finish(a, batch + row, column, value.X);
            Finish(a, batch + row, column + 1, value.Y);
            Finish(a, batch + row, column + 2, value.Z);
            Finish(a, batch + row, column + 3, value.W);
        }
    }

    [MethodImpl(Inline)]
    private static void Finish<T, TEpilogue>(in ProductArguments<T, TEpilogue> a, long row, int column, float value)
        where T : unmanaged
        where TEpilogue : unmanaged, IProductEpilogue
    {
        if (column < a.N)
        {
            if (a.Accumulate != 0)
            {
                value += Element.Load(a.C, row * a.N + column);
            }

            a.Epilogue.Store(row, column, value);
        }
    }
}

/// <summary>Launches of matrix products.</summary>
public static class Product
{
    /// <summary>C [batch, m, n] = A [batch, m, k] · B [batch, k, n], or C +=: the library's product where there is one.</summary>
    public static void Run<T>(DeviceArena arena, int batch, int m, int n, int k, bool transposeA, bool transposeB, bool accumulate, Slice<T> a, Slice<T> b, Slice<T> c)
        where T : unmanaged
    {
        if (!TryLibrary(arena, batch, m, n, k, transposeA, transposeB, accumulate, a, b, c))
        {
            Run(arena, batch, m, n, k, transposeA, transposeB, accumulate, a, b, c, new PlainEpilogue<T> { C = arena.View(c), N = n });
        }
    }

    /// <summary>The library's product; false where there is none.</summary>
    public static bool TryLibrary<T>(DeviceArena arena, int batch, int m, int n, int k, bool transposeA, bool transposeB, bool accumulate, Slice<T> a, Slice<T> b, Slice<T> c)
        where T : unmanaged
    {
        if (arena.Product is not { } library)
        {
            return false;
        }

        ColumnMajorProduct product = ColumnMajorProduct.FromRowMajor(batch, m, n, k, transposeA, transposeB, accumulate);
        if (typeof(T) == typeof(BFloat16))
        {
            library.Run(product, arena.View(b).Cast<BFloat16>(), arena.View(a).Cast<BFloat16>(), arena.View(c).Cast<BFloat16>());
        }
        else if (typeof(T) == typeof(Float16))
        {
            library.Run(product, arena.View(b).Cast<Float16>(), arena.View(a).Cast<Float16>(), arena.View(c).Cast<Float16>());
        }
        else
        {
            library.Run(product, arena.View(b).Cast<float>(), arena.View(a).Cast<float>(), arena.View(c).Cast<float>());
        }

        arena.Queued();
        return true;
    }

    /// <summary>The tiled product with work on each element.</summary>
    public static void Run<T, TEpilogue>(DeviceArena arena, int batch, int m, int n, int k, bool transposeA, bool transposeB, bool accumulate, Slice<T> a, Slice<T> b, Slice<T> c, TEpilogue epilogue)
        where T : unmanaged
        where TEpilogue : unmanaged, IProductEpilogue
    {
        var arguments = new ProductArguments<T, TEpilogue>
        {
            A = arena.View(a), B = arena.View(b), C = arena.View(c), M = m, N = n, K = k, TransposeA = transposeA ? 1 : 0, TransposeB = transposeB ? 1 : 0, Accumulate = accumulate ? 1 : 0, Epilogue = epilogue,
            VectorA = (transposeA ? m : k) % 4 == 0 && (a.Offset & 15) == 0 ? 1 : 0, VectorB = (transposeB ? k : n) % 4 == 0 && (b.Offset & 15) == 0 ? 1 : 0,
        };
        if (arena.Device.Form == GroupForm.Small)
        {
            KernelConfig flat = Launches.Flat(arena, ((m + 3L) / 4) * ((n + 3L) / 4));
            arena.Launch(ProductKernels.Blocks<T, TEpilogue>, new KernelConfig(new Index3D(flat.GridDim.X, 1, batch), flat.GroupDim), arguments);
            return;
        }

        arena.Launch(ProductKernels.Tile<T, TEpilogue>, new KernelConfig(new Index3D((n + ProductKernels.Side - 1) / ProductKernels.Side, (m + ProductKernels.Side - 1) / ProductKernels.Side, batch), new Index3D(ProductKernels.Side / 4 * (ProductKernels.Side / 4), 1, 1)), arguments);
    }
}
