using System.Runtime.InteropServices;

namespace Shardwright.Benchmarks;

/// <summary>OpenBLAS where the machine has it (Debian: libopenblas0-pthread): the peer of the matrix product. Nothing else needs it.</summary>
internal static unsafe class OpenBlas
{
    private static readonly delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void> s_sgemm;
    private static readonly delegate* unmanaged<int, void> s_setThreads;

    static OpenBlas()
    {
        foreach (string name in new[] { "libopenblas.so.0", "libopenblas.so", "openblas", "libopenblas.dll" })
        {
            if (NativeLibrary.TryLoad(name, out nint library) && NativeLibrary.TryGetExport(library, "cblas_sgemm", out nint gemm) && NativeLibrary.TryGetExport(library, "openblas_set_num_threads", out nint threads))
            {
                s_sgemm = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)gemm;
                s_setThreads = (delegate* unmanaged<int, void>)threads;
                if (NativeLibrary.TryGetExport(library, "openblas_get_config", out nint config))
                {
                    Version = Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)config)()) ?? "";
                }

                return;
            }
        }
    }

    public static bool Found => s_sgemm != null;

    public static string Version { get; } = "";

    public static void Threads(int threads)
    {
        if (Found)
        {
            s_setThreads(threads);
        }
    }

    /// <summary>C = A·B, or C += with beta 1; row-major.</summary>
    public static void Gemm(bool transposeA, bool transposeB, int m, int n, int k, float* a, int lda, float* b, int ldb, float beta, float* c, int ldc) =>
        s_sgemm(101, transposeA ? 112 : 111, transposeB ? 112 : 111, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
