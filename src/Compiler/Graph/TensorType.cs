namespace Shardwright.Compiler.Graph;

/// <summary>Element type of a tensor.</summary>
public enum DType
{
    /// <summary>32-bit IEEE float.</summary>
    Float32,

    /// <summary>32-bit signed integer: token ids, segment ids.</summary>
    Int32,

    /// <summary>16-bit brain float; planned and accounted, run on GPU backends.</summary>
    BFloat16,

    /// <summary>16-bit IEEE float; planned and accounted, run on GPU backends.</summary>
    Float16,
}

/// <summary>Shape and element type of a tensor. Sizes are bound: numbers, not symbols.</summary>
/// <param name="Element">Element type.</param>
/// <param name="Dims">Sizes, outermost first.</param>
public sealed record TensorType(DType Element, EquatableArray<long> Dims)
{
    /// <summary>Number of dims.</summary>
    public int Rank => Dims.Count;

    /// <summary>Number of elements.</summary>
    public long Count => Dims.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Bytes of one element.</summary>
    public int ElementBytes => Element is DType.Float32 or DType.Int32 ? 4 : 2;

    /// <summary>Bytes of all elements.</summary>
    public long Bytes => checked(Count * ElementBytes);

    /// <summary>Whether elements are floating-point numbers.</summary>
    public bool IsFloat => Element != DType.Int32;

    /// <summary>A float32 tensor.</summary>
    public static TensorType Float(params long[] dims) => new(DType.Float32, EquatableArray.Of(dims));

    /// <summary>An int32 tensor.</summary>
    public static TensorType Int(params long[] dims) => new(DType.Int32, EquatableArray.Of(dims));

    /// <summary>The same type with other sizes.</summary>
    public TensorType With(IEnumerable<long> dims) => this with { Dims = dims.ToEquatable() };

    /// <summary>Shape as it is written in messages: <c>[16, 128]</c>.</summary>
    public string ShapeText => "[" + string.Join(", ", Dims) + "]";

    /// <inheritdoc/>
    public override string ToString() => (Element switch { DType.Float32 => "float", DType.Int32 => "int", DType.BFloat16 => "bf16", _ => "half" }) + ShapeText;
}

/// <summary>An op refuses the shapes or attributes it got. The message names the thing, the numbers and the way out.</summary>
public sealed class ShapeException : Exception
{
    /// <summary>Creates the error.</summary>
    public ShapeException(string message)
        : base(message)
    {
    }
}
