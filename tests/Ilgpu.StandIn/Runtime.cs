using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU.Util;

namespace ILGPU.Runtime
{
    public enum AcceleratorType
    {
        CPU,
        Cuda,
        OpenCL,
        Velocity,
    }

    /// <summary>A device that accelerators are made of.</summary>
    public abstract class Device
    {
        public abstract AcceleratorType AcceleratorType { get; }

        public string Name { get; protected set; } = "";

        public long MemorySize { get; protected set; }

        public int MaxNumThreadsPerGroup { get; protected set; }

        public int MaxSharedMemoryPerGroup { get; protected set; }

        public int WarpSize { get; protected set; }

        public int NumMultiprocessors { get; protected set; }

        public abstract Accelerator CreateAccelerator(Context context);
    }

    public abstract class AcceleratorObject : DisposeBase
    {
    }

    /// <summary>An ordered lane of work. Here work is done when it is given.</summary>
    public abstract class AcceleratorStream : AcceleratorObject
    {
        public abstract void Synchronize();
    }

    /// <summary>Memory of a device; what it holds at first is nothing that a program may rely on.</summary>
    public unsafe class MemoryBuffer : AcceleratorObject
    {
        private byte* _start;

        internal MemoryBuffer(long bytes)
        {
            LengthInBytes = bytes;
            _start = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 256), 256);
            NativeMemory.Fill(_start, (nuint)bytes, 0xFF);
        }

        public long LengthInBytes { get; }

        internal ArrayView<byte> Raw => _start != null ? new ArrayView<byte>(_start, LengthInBytes) : throw new ObjectDisposedException(nameof(MemoryBuffer));

        protected override void Dispose(bool disposing)
        {
            NativeMemory.AlignedFree(_start);
            _start = null;
        }
    }

    /// <summary>Memory with a view of it.</summary>
    public abstract class MemoryBuffer<TView> : MemoryBuffer
        where TView : struct
    {
        internal MemoryBuffer(long bytes)
            : base(bytes)
        {
        }

        public abstract TView View { get; }
    }

    public sealed class MemoryBuffer1D<T, TStride> : MemoryBuffer<ArrayView1D<T, TStride>>
        where T : unmanaged
        where TStride : struct
    {
        internal unsafe MemoryBuffer1D(long length)
            : base(length * sizeof(T))
        {
        }

        public override ArrayView1D<T, TStride> View => new(Raw.Cast<T>());
    }

    /// <summary>Host memory that a device copies from and to directly.</summary>
    public abstract class PageLockedArray<T> : DisposeBase
        where T : unmanaged
    {
        public abstract Span<T> Span { get; }

        public ArrayView<T> ArrayView { get; private protected set; }

        public long Length => Span.Length;
    }

    public sealed unsafe class PageLockedArray1D<T> : PageLockedArray<T>
        where T : unmanaged
    {
        private readonly MemoryBuffer1D<T, Stride1D.Dense> _buffer;
        private readonly int _length;

        internal PageLockedArray1D(long length)
        {
            _length = checked((int)length);
            _buffer = new MemoryBuffer1D<T, Stride1D.Dense>(length);
            ArrayView = _buffer.View;
        }

        public override Span<T> Span => new(ArrayView.Start, _length);

        protected override void Dispose(bool disposing) => _buffer.Dispose();
    }

    public static class PageLockedArrayExtensions
    {
        public static PageLockedArray1D<T> AllocatePageLocked1D<T>(this Accelerator accelerator, LongIndex1D extent, bool uninitialized)
            where T : unmanaged
        {
            ArgumentNullException.ThrowIfNull(accelerator);
            var array = new PageLockedArray1D<T>(extent);
            if (!uninitialized)
            {
                array.Span.Clear();
            }

            return array;
        }
    }

    public static unsafe class ArrayViewExtensions
    {
        public static void MemSetToZero<T>(this ArrayView<T> view, AcceleratorStream stream)
            where T : unmanaged
        {
            ArgumentNullException.ThrowIfNull(stream);
            NativeMemory.Clear(view.Start, (nuint)view.LengthInBytes);
        }

        public static void CopyTo<T>(this ArrayView<T> source, AcceleratorStream stream, in ArrayView<T> target)
            where T : unmanaged
        {
            ArgumentNullException.ThrowIfNull(stream);
            if (target.Length < source.Length)
            {
                throw new ArgumentOutOfRangeException(nameof(target), $"{source.Length} elements do not fit into {target.Length}");
            }

            Buffer.MemoryCopy(source.Start, target.Start, target.LengthInBytes, source.LengthInBytes);
        }

        public static nint LoadEffectiveAddressAsPtr<T>(this ArrayView<T> view)
            where T : unmanaged => (nint)view.Start;
    }

    /// <summary>Runs kernels.</summary>
    public abstract class Accelerator : DisposeBase
    {
        private readonly ConcurrentDictionary<Index3DKey, ConcurrentBag<GroupRun>> _teams = new();
        private readonly List<GroupRun> _all = [];
        private long _allocated;

        private protected Accelerator(Context context, Device device)
        {
            Context = context;
            Device = device;
        }

        private readonly record struct Index3DKey(int X, int Y, int Z);

        public Context Context { get; }

        public Device Device { get; }

        public AcceleratorType AcceleratorType => Device.AcceleratorType;

        public string Name => Device.Name;

        public long MemorySize => Device.MemorySize;

        public int MaxNumThreadsPerGroup => Device.MaxNumThreadsPerGroup;

        public int MaxSharedMemoryPerGroup => Device.MaxSharedMemoryPerGroup;

        public int WarpSize => Device.WarpSize;

        public int NumMultiprocessors => Device.NumMultiprocessors;

        public abstract AcceleratorStream CreateStream();

        public bool CanAccessPeer(Accelerator otherAccelerator) => otherAccelerator is not null && otherAccelerator.AcceleratorType == AcceleratorType;

        public bool EnablePeerAccess(Accelerator otherAccelerator) => CanAccessPeer(otherAccelerator);

        public MemoryBuffer1D<T, Stride1D.Dense> Allocate1D<T>(long length)
            where T : unmanaged
        {
            long bytes = length * Unsafe.SizeOf<T>();
            if (Interlocked.Add(ref _allocated, bytes) > MemorySize)
            {
                Interlocked.Add(ref _allocated, -bytes);
                throw new OutOfMemoryException($"{Name} has {MemorySize} bytes");
            }

            return new MemoryBuffer1D<T, Stride1D.Dense>(length);
        }

        protected override void Dispose(bool disposing)
        {
            lock (_all)
            {
                _all.ForEach(r => r.Dispose());
                _all.Clear();
            }
        }

        internal void Launch(KernelConfig config, bool meets, Action body)
        {
            Index3D grid = config.GridDim, group = config.GroupDim;
            if (grid.X < 1 || grid.Y < 1 || grid.Z < 1 || group.LongSize < 1 || grid.Y > ushort.MaxValue || grid.Z > ushort.MaxValue || group.LongSize > MaxNumThreadsPerGroup)
            {
                throw new ArgumentOutOfRangeException(nameof(config), $"a launch of ({grid.X}, {grid.Y}, {grid.Z}) groups of ({group.X}, {group.Y}, {group.Z}) threads: {Name} takes 1 to 65535 groups along y and z, and up to {MaxNumThreadsPerGroup} threads");
            }

            if (meets)
            {
                Together(grid, group, body);
            }
            else
            {
                Alone(grid, group, body);
            }
        }

        /// <summary>Threads that never meet run one after another.</summary>
        private static void Alone(Index3D grid, Index3D group, Action body)
        {
            KernelThread? before = KernelThread.Current;
            var thread = new KernelThread { GridDim = grid, GroupDim = group };
            KernelThread.Current = thread;
            try
            {
                for (long g = 0; g < grid.LongSize; g++)
                {
                    thread.GridIdx = new Index3D((int)(g % grid.X), (int)(g / grid.X % grid.Y), (int)(g / grid.X / grid.Y));
                    for (int t = 0; t < group.LongSize; t++)
                    {
                        thread.Linear = t;
                        thread.GroupIdx = new Index3D(t % group.X, t / group.X % group.Y, t / group.X / group.Y);
                        body();
                    }
                }
            }
            finally
            {
                KernelThread.Current = before;
            }
        }

        private void Together(Index3D grid, Index3D group, Action body)
        {
            ConcurrentBag<GroupRun> free = _teams.GetOrAdd(new Index3DKey(group.X, group.Y, group.Z), _ => []);
            if (!free.TryTake(out GroupRun? run))
            {
                run = new GroupRun(group, Math.Max(1, WarpSize), MaxSharedMemoryPerGroup);
                lock (_all)
                {
                    _all.Add(run);
                }
            }

            try
            {
                run.Run(grid, body);
            }
            finally
            {
                free.Add(run);
            }
        }
    }

    public static class KernelLoaders
    {
        public static Action<AcceleratorStream, KernelConfig, T1> LoadKernel<T1>(this Accelerator accelerator, Action<T1> action)
            where T1 : struct
        {
            ArgumentNullException.ThrowIfNull(accelerator);
            ArgumentNullException.ThrowIfNull(action);
            bool meets = KernelVerifier.Check(action.Method);
            return (stream, config, argument) =>
            {
                ArgumentNullException.ThrowIfNull(stream);
                accelerator.Launch(config, meets, () => action(argument));
            };
        }
    }
}

namespace ILGPU.Runtime.CPU
{
    /// <summary>A device that is this machine's processor.</summary>
    public sealed class CPUDevice : Device
    {
        public static readonly CPUDevice Default = new(4, 4, 1);

        public CPUDevice(int numThreadsPerWarp, int numWarpsPerMultiprocessor, int numMultiprocessors)
        {
            Name = "CPUAccelerator";
            WarpSize = numThreadsPerWarp;
            MaxNumThreadsPerGroup = numThreadsPerWarp * numWarpsPerMultiprocessor;
            NumMultiprocessors = numMultiprocessors;
            MemorySize = long.MaxValue;
            MaxSharedMemoryPerGroup = 48 << 10;
        }

        public override AcceleratorType AcceleratorType => AcceleratorType.CPU;

        public override Accelerator CreateAccelerator(Context context) => new CPUAccelerator(context, this);
    }

    public sealed class CPUAccelerator : Accelerator
    {
        internal CPUAccelerator(Context context, CPUDevice device)
            : base(context, device)
        {
        }

        public override AcceleratorStream CreateStream() => new CPUStream();
    }

    internal sealed class CPUStream : AcceleratorStream
    {
        public override void Synchronize()
        {
        }
    }

    public static class CPUContextExtensions
    {
        public static Context.Builder CPU(this Context.Builder builder, CPUDevice device)
        {
            ArgumentNullException.ThrowIfNull(builder);
            builder.Devices.Add(device);
            return builder;
        }
    }
}

namespace ILGPU.Runtime.Cuda
{
    /// <summary>A stream of the CUDA driver; the stand-in never makes one.</summary>
    public abstract class CudaStream : AcceleratorStream
    {
        public abstract nint StreamPtr { get; }
    }

    public static class CudaContextExtensions
    {
        /// <summary>The stand-in finds no device.</summary>
        public static Context.Builder Cuda(this Context.Builder builder) => builder;
    }
}

namespace ILGPU.Runtime.OpenCL
{
    public static class CLContextExtensions
    {
        /// <summary>The stand-in finds no device.</summary>
        public static Context.Builder OpenCL(this Context.Builder builder) => builder;
    }
}

namespace ILGPU
{
    using ILGPU.Runtime;

    /// <summary>Devices and settings of compilation.</summary>
    public sealed class Context : DisposeBase
    {
        private Context(Builder builder) => Devices = [.. builder.Devices];

        public ImmutableArray<Device> Devices { get; }

        public static Context Create(Action<Builder> buildingCallback)
        {
            ArgumentNullException.ThrowIfNull(buildingCallback);
            var builder = new Builder();
            buildingCallback(builder);
            return new Context(builder);
        }

        public sealed class Builder
        {
            internal List<Device> Devices { get; } = [];

            public Builder Optimize(OptimizationLevel level) => this;

            public Builder Math(MathMode mathMode) => this;
        }
    }
}

namespace ILGPU
{
    public static class AlgorithmContext
    {
        public static Context.Builder EnableAlgorithms(this Context.Builder builder) => builder;
    }
}

namespace ILGPU.Util
{
    /// <summary>What is disposed once. Members are declared where ILGPU declares them: the references in assemblies are the same.</summary>
    public abstract class DisposeBase : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                Dispose(disposing: true);
            }

            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
        }
    }
}
