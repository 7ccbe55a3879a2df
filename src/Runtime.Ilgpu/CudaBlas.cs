using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>Matrix products of cuBLAS, called directly: the extended and the strided forms. cuBLAS comes with the CUDA toolkit, not with the driver; without it the tiled
/// kernels run.</summary>
internal sealed unsafe class CudaBlas : IMatrixProduct
{
    private const int Float32 = 0, Fp16 = 2, Bf16 = 14, Compute32 = 68, Compute32FastTf32 = 77, DefaultAlgorithm = -1;
    private readonly nint _handle;
    private readonly bool _tf32;
    private readonly Functions _functions;

    private CudaBlas(Functions functions, nint handle, bool tf32)
    {
        _functions = functions;
        _handle = handle;
        _tf32 = tf32;
    }

    private sealed record Functions(string Library, nint Create, nint Destroy, nint SetStream, nint Product, nint Batched);

    /// <inheritdoc/>
    public string Description => $"{_functions.Library}, TF32 {(_tf32 ? "on" : "off")}";

    /// <summary>cuBLAS for a rank; null where the device is no CUDA device or the library is missing.</summary>
    public static IMatrixProduct? TryCreate(DeviceArena arena)
    {
        if (arena.Stream is not CudaStream stream || Load() is not { } functions)
        {
            return null;
        }

        nint handle;
        Check(((delegate* unmanaged<nint*, int>)functions.Create)(&handle), "cublasCreate");
        Check(((delegate* unmanaged<nint, nint, int>)functions.SetStream)(handle, stream.StreamPtr), "cublasSetStream");
        return new CudaBlas(functions, handle, arena.Device.Options.TensorFloat32);
    }

    /// <inheritdoc/>
    public void Run(in ColumnMajorProduct p, ArrayView<float> a, ArrayView<float> b, ArrayView<float> c) => Run(p, a, b, c, Float32, _tf32 ? Compute32FastTf32 : Compute32);

    /// <inheritdoc/>
    public void Run(in ColumnMajorProduct p, ArrayView<BFloat16> a, ArrayView<BFloat16> b, ArrayView<BFloat16> c) => Run(p, a, b, c, Bf16, Compute32);

    /// <inheritdoc/>
    public void Run(in ColumnMajorProduct p, ArrayView<Float16> a, ArrayView<Float16> b, ArrayView<Float16> c) => Run(p, a, b, c, Fp16, Compute32);

    private void Run<T>(in ColumnMajorProduct p, ArrayView<T> a, ArrayView<T> b, ArrayView<T> c, int type, int compute)
        where T : unmanaged
    {
        float one = 1, beta = p.Accumulate ? 1 : 0;
        void* pa = (void*)a.LoadEffectiveAddressAsPtr(), pb = (void*)b.LoadEffectiveAddressAsPtr(), pc = (void*)c.LoadEffectiveAddressAsPtr();
        int ta = p.TransposeA ? 1 : 0, tb = p.TransposeB ? 1 : 0;
        int status = p.Batch == 1
            ? ((delegate* unmanaged<nint, int, int, int, int, int, void*, void*, int, int, void*, int, int, void*, void*, int, int, int, int, int>)_functions.Product)(
                _handle, ta, tb, p.Rows, p.Columns, p.Depth, &one, pa, type, p.LeadingA, pb, type, p.LeadingB, &beta, pc, type, p.LeadingC, compute, DefaultAlgorithm)
            : ((delegate* unmanaged<nint, int, int, int, int, int, void*, void*, int, int, long, void*, int, int, long, void*, void*, int, int, long, int, int, int, int>)_functions.Batched)(
                _handle, ta, tb, p.Rows, p.Columns, p.Depth, &one, pa, type, p.LeadingA, p.StrideA, pb, type, p.LeadingB, p.StrideB, &beta, pc, type, p.LeadingC, p.StrideC, p.Batch, compute, DefaultAlgorithm);
        Check(status, $"product of [{p.Rows}, {p.Depth}] and [{p.Depth}, {p.Columns}]");
    }

    /// <inheritdoc/>
    public void Dispose() => ((delegate* unmanaged<nint, int>)_functions.Destroy)(_handle);

    private static Functions? Load()
    {
        string[] names = OperatingSystem.IsWindows() ? ["cublas64_13.dll", "cublas64_12.dll", "cublas64_11.dll"] : ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11"];
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
            {
                return new Functions(
                    name, NativeLibrary.GetExport(library, "cublasCreate_v2"), NativeLibrary.GetExport(library, "cublasDestroy_v2"), NativeLibrary.GetExport(library, "cublasSetStream_v2"),
                    NativeLibrary.GetExport(library, "cublasGemmEx"), NativeLibrary.GetExport(library, "cublasGemmStridedBatchedEx"));
            }
        }

        return null;
    }

    private static void Check(int status, string what)
    {
        if (status != 0)
        {
            throw new GpuException($"cuBLAS failed with status {status}: {what}.");
        }
    }
}
