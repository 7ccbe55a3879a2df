using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>A product of column-major matrices, as BLAS libraries take it: C [rows, columns] = op(A) [rows, depth] · op(B) [depth, columns] + beta·C, and a batch of them at equal distances.</summary>
/// <param name="TransposeA">A is stored [depth, rows].</param>
/// <param name="TransposeB">B is stored [columns, depth].</param>
/// <param name="Rows">Rows of C.</param>
/// <param name="Columns">Columns of C.</param>
/// <param name="Depth">Terms of each sum.</param>
/// <param name="LeadingA">Elements from column to column of A as stored.</param>
/// <param name="LeadingB">Those of B.</param>
/// <param name="LeadingC">Those of C.</param>
/// <param name="StrideA">Elements from one A to the next.</param>
/// <param name="StrideB">Those of B.</param>
/// <param name="StrideC">Those of C.</param>
/// <param name="Batch">Number of products.</param>
/// <param name="Accumulate">Adds to C.</param>
public readonly record struct ColumnMajorProduct(bool TransposeA, bool TransposeB, int Rows, int Columns, int Depth, int LeadingA, int LeadingB, int LeadingC, long StrideA, long StrideB, long StrideC, int Batch, bool Accumulate)
{
    /// <summary>The product of row-major matrices C [m, n] = A [m, k] · B [k, n]: read as columns, each is its own transpose, so that Cᵀ = Bᵀ·Aᵀ. The factors change places.</summary>
    public static ColumnMajorProduct FromRowMajor(int batch, int m, int n, int k, bool transposeA, bool transposeB, bool accumulate) =>
        new(transposeB, transposeA, n, m, k, transposeB ? k : n, transposeA ? m : k, n, (long)k * n, (long)m * k, (long)m * n, batch, accumulate);
}

/// <summary>Matrix products of a library, queued on the stream of one rank.</summary>
public interface IMatrixProduct : IDisposable
{
    /// <summary>For reports: cuBLAS 12, TF32 off.</summary>
    string Description { get; }

    /// <summary>Queues a product, or a batch.</summary>
    void Run(in ColumnMajorProduct product, ArrayView<float> a, ArrayView<float> b, ArrayView<float> c);

    /// <summary>Queues a product of bf16, or a batch: summed in fp32, rounded once.</summary>
    void Run(in ColumnMajorProduct product, ArrayView<BFloat16> a, ArrayView<BFloat16> b, ArrayView<BFloat16> c);

    /// <summary>The same of fp16.</summary>
    void Run(in ColumnMajorProduct product, ArrayView<Float16> a, ArrayView<Float16> b, ArrayView<Float16> c);
}
