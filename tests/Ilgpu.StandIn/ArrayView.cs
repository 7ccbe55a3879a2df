using System.Runtime.CompilerServices;
using ILGPU.Runtime;

namespace ILGPU;

/// <summary>A typed piece of device memory. Elements are reached inside of kernels only, within bounds, aligned to their size: what a GPU would answer with a fault or with
/// wrong numbers is refused here.</summary>
public readonly unsafe struct ArrayView<T>
    where T : unmanaged
{
    private readonly T* _start;

    internal ArrayView(T* start, long length)
    {
        _start = start;
        Length = length;
    }

    public ArrayView(MemoryBuffer source, long index, long length)
    {
        this = source.Raw.Cast<T>().SubView(index, length);
    }

    public static readonly ArrayView<T> Empty;

    public long Length { get; }

    public int IntLength => checked((int)Length);

    public long LengthInBytes => Length * sizeof(T);

    public bool IsValid => _start != null;

    internal T* Start => _start;

    public ref T this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref this[(long)index];
    }

    public ref T this[long index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if ((ulong)index >= (ulong)Length || KernelThread.Current is null || ((nuint)_start & (nuint)(Alignment - 1)) != 0)
            {
                Refuse(index);
            }

            return ref _start[index];
        }
    }

    public ArrayView<T> SubView(long index, long subViewLength)
    {
        if (index < 0 || subViewLength < 0 || index + subViewLength > Length)
        {
            throw new ArgumentOutOfRangeException(nameof(index), $"elements {index} to {index + subViewLength} of a view of {Length} {typeof(T).Name}");
        }

        return new ArrayView<T>(_start + index, subViewLength);
    }

    public ArrayView<T> SubView(int index, int subViewLength) => SubView((long)index, subViewLength);

    public ArrayView<TOther> Cast<TOther>()
        where TOther : unmanaged => new((TOther*)_start, Length * sizeof(T) / sizeof(TOther));

    /// <summary>Largest power of two up to 16 that divides the element's size: what a vector access needs.</summary>
    private static int Alignment => sizeof(T) % 16 == 0 ? 16 : sizeof(T) % 8 == 0 ? 8 : sizeof(T) % 4 == 0 ? 4 : sizeof(T) % 2 == 0 ? 2 : 1;

    private void Refuse(long index)
    {
        if (KernelThread.Current is null)
        {
            throw new InvalidOperationException($"an element of device memory ({typeof(T).Name}) was read outside of a kernel");
        }

        throw (ulong)index >= (ulong)Length
            ? new IndexOutOfRangeException($"element {index} of a view of {Length} {typeof(T).Name}")
            : new InvalidOperationException($"a view of {typeof(T).Name} starts at an address that is no multiple of {Alignment}");
    }

    public static implicit operator ArrayView<T>(ArrayView1D<T, Stride1D.Dense> view) => view.BaseView;
}

/// <summary>A view with a stride; only dense ones are made here.</summary>
public readonly struct ArrayView1D<T, TStride>
    where T : unmanaged
    where TStride : struct
{
    internal ArrayView1D(ArrayView<T> view) => BaseView = view;

    public ArrayView<T> BaseView { get; }
}
