using System.Diagnostics;

namespace Shardwright;

/// <summary>Sizes of a tensor, outermost first.</summary>
public readonly struct Shape : IEquatable<Shape>
{
    private readonly int[]? _dims;

    /// <summary>A shape of the sizes given; none for a scalar.</summary>
    public Shape(params int[] dims) => _dims = dims;

    /// <summary>Number of dims.</summary>
    public int Rank => _dims?.Length ?? 0;

    /// <summary>Number of elements.</summary>
    public long Count => Dims.Aggregate(1L, (product, size) => checked(product * size));

    /// <summary>Size of a dim; negative numbers count from the end.</summary>
    public int this[int dim] => _dims![dim < 0 ? dim + _dims.Length : dim];

    internal int[] Dims => _dims ?? [];

    /// <inheritdoc/>
    public bool Equals(Shape other) => Dims.AsSpan().SequenceEqual(other.Dims);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Shape other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => Dims.Aggregate(17, (hash, size) => hash * 31 + size);

    /// <inheritdoc/>
    public override string ToString() => "[" + string.Join(", ", Dims) + "]";
}

/// <summary>A tensor of fp32 numbers on the host: what Forward works on when it runs eagerly, and what model inputs and results are made of.</summary>
public sealed class Tensor
{
    private float[]? _data;

    internal Tensor(Shape shape, float[] data)
    {
        Debug.Assert(shape.Count == data.Length, "data do not fill the shape");
        Shape = shape;
        _data = data;
    }

    internal Tensor(Shape shape, Init init)
    {
        Shape = shape;
        Init = init;
    }

    /// <summary>Sizes.</summary>
    public Shape Shape { get; }

    /// <summary>The elements, row-major. A parameter is filled when it is first read, inside of an <see cref="Eager.Session(object, ulong, uint)"/>.</summary>
    /// <exception cref="InvalidOperationException">The tensor is a parameter that no session has bound.</exception>
    public ReadOnlySpan<float> Span => Data;

    /// <summary>The only element of a scalar, or of any tensor with one element.</summary>
    public float Item => Data.Length == 1 ? Data[0] : throw new InvalidOperationException($"A tensor of shape {Shape} has {Data.Length} elements, not one.");

    internal Init? Init { get; }

    /// <summary>Logical path of a parameter, once it is bound.</summary>
    internal string? Path { get; set; }

    /// <summary>Set for a cross-entropy: the sum before the division.</summary>
    internal (double Sum, double Weight)? Pair { get; init; }

    internal float[] Data => Init is null ? _data! : Eager.Read(this);

    /// <summary>A tensor of given numbers.</summary>
    /// <param name="values">Elements, row-major; not copied.</param>
    /// <param name="shape">Sizes; their product is the number of values.</param>
    /// <exception cref="ArgumentException">The sizes do not match the number of values.</exception>
    public static Tensor Of(float[] values, params int[] shape)
    {
        var s = new Shape(shape);
        return s.Count == values.Length ? new Tensor(s, values) : throw new ArgumentException($"{values.Length} values do not fill shape {s}, which has {s.Count} elements.");
    }

    /// <summary>Elementwise sum with broadcasting.</summary>
    public static Tensor operator +(Tensor a, Tensor b) => EagerMath.Binary("Add", a, b, (x, y) => x + y);

    /// <summary>Elementwise difference with broadcasting.</summary>
    public static Tensor operator -(Tensor a, Tensor b) => EagerMath.Binary("Subtract", a, b, (x, y) => x - y);

    /// <summary>Elementwise product with broadcasting.</summary>
    public static Tensor operator *(Tensor a, Tensor b) => EagerMath.Binary("Multiply", a, b, (x, y) => x * y);

    /// <summary>Elementwise quotient with broadcasting.</summary>
    public static Tensor operator /(Tensor a, Tensor b) => EagerMath.Binary("Divide", a, b, (x, y) => x / y);

    /// <summary>Adds a number to each element.</summary>
    public static Tensor operator +(Tensor a, float b) => EagerMath.Unary(a, x => x + b);

    /// <summary>Adds a number to each element.</summary>
    public static Tensor operator +(float a, Tensor b) => EagerMath.Unary(b, x => a + x);

    /// <summary>Subtracts a number from each element.</summary>
    public static Tensor operator -(Tensor a, float b) => EagerMath.Unary(a, x => x - b);

    /// <summary>Subtracts each element from a number.</summary>
    public static Tensor operator -(float a, Tensor b) => EagerMath.Unary(b, x => a - x);

    /// <summary>Multiplies each element by a number.</summary>
    public static Tensor operator *(Tensor a, float b) => EagerMath.Unary(a, x => x * b);

    /// <summary>Multiplies each element by a number.</summary>
    public static Tensor operator *(float a, Tensor b) => EagerMath.Unary(b, x => a * x);

    /// <summary>Divides each element by a number.</summary>
    public static Tensor operator /(Tensor a, float b) => EagerMath.Unary(a, x => x / b);

    /// <summary>Divides a number by each element.</summary>
    public static Tensor operator /(float a, Tensor b) => EagerMath.Unary(b, x => a / x);

    /// <summary>Negates each element.</summary>
    public static Tensor operator -(Tensor a) => EagerMath.Unary(a, x => -x);

    /// <inheritdoc/>
    public override string ToString() => Path is null ? $"Tensor {Shape}" : $"Tensor {Path} {Shape}";

    internal void Fill(float[] data) => _data = data;

    internal float[]? Filled => _data;
}

/// <summary>A tensor of integers on the host: token ids, targets, segment ids.</summary>
public sealed class TokenTensor
{
    private TokenTensor(Shape shape, int[] data)
    {
        Shape = shape;
        Data = data;
    }

    /// <summary>Sizes.</summary>
    public Shape Shape { get; }

    /// <summary>The elements, row-major.</summary>
    public ReadOnlySpan<int> Span => Data;

    internal int[] Data { get; }

    /// <summary>A tensor of given numbers.</summary>
    /// <param name="values">Elements, row-major; not copied, so a caller may refill the array between steps.</param>
    /// <param name="shape">Sizes; their product is the number of values.</param>
    /// <exception cref="ArgumentException">The sizes do not match the number of values.</exception>
    public static TokenTensor Of(int[] values, params int[] shape)
    {
        var s = new Shape(shape);
        return s.Count == values.Length ? new TokenTensor(s, values) : throw new ArgumentException($"{values.Length} values do not fill shape {s}, which has {s.Count} elements.");
    }
}

/// <summary>How a parameter is filled at the start; a function of its logical path and each element's global index, the same on every mesh.</summary>
public sealed class Init
{
    private Init(string kind, float a, float b)
    {
        Kind = kind;
        A = a;
        B = b;
    }

    /// <summary>All zeros.</summary>
    public static Init Zeros { get; } = new("Constant", 0, 0);

    /// <summary>All ones.</summary>
    public static Init Ones { get; } = new("Constant", 1, 0);

    internal string Kind { get; }

    internal float A { get; }

    internal float B { get; }

    /// <summary>Normal distribution.</summary>
    public static Init Normal(float deviation, float mean = 0) => new("Normal", mean, deviation);

    /// <summary>Uniform distribution in [low, high).</summary>
    public static Init Uniform(float low, float high) => new("Uniform", low, high);

    /// <summary>One number everywhere.</summary>
    public static Init Constant(float value) => new("Constant", value, 0);
}

/// <summary>A placement on one axis, for <see cref="Ops.Reshard"/>.</summary>
public readonly record struct Placement
{
    private Placement(string kind, string axis, int dim)
    {
        Kind = kind;
        Axis = axis;
        Dim = dim;
    }

    /// <summary>Split, Broadcast or Partial.</summary>
    public string Kind { get; }

    /// <summary>The axis.</summary>
    public string Axis { get; }

    /// <summary>The dim that is split.</summary>
    public int Dim { get; }

    /// <summary>Equal slices of a dim.</summary>
    public static Placement Split(string axis, int dim) => new("Split", axis, dim);

    /// <summary>The whole on each rank.</summary>
    public static Placement Broadcast(string axis) => new("Broadcast", axis, 0);

    /// <summary>A term of a sum on each rank.</summary>
    public static Placement Partial(string axis) => new("Partial", axis, 0);
}

/// <summary>Parts of a split tensor: by index, or taken apart: <c>var (q, k, v) = Split(x, 3, dim: 2)</c>.</summary>
/// <param name="parts">The parts.</param>
public readonly struct TensorList(Tensor[] parts)
{
    /// <summary>Number of parts.</summary>
    public int Count => parts.Length;

    /// <summary>One part.</summary>
    public Tensor this[int index] => parts[index];

    /// <summary>Two parts.</summary>
    public void Deconstruct(out Tensor first, out Tensor second) => (first, second) = (At(0, 2), At(1, 2));

    /// <summary>Three parts.</summary>
    public void Deconstruct(out Tensor first, out Tensor second, out Tensor third) => (first, second, third) = (At(0, 3), At(1, 3), At(2, 3));

    /// <summary>Four parts.</summary>
    public void Deconstruct(out Tensor first, out Tensor second, out Tensor third, out Tensor fourth) => (first, second, third, fourth) = (At(0, 4), At(1, 4), At(2, 4), At(3, 4));

    private Tensor At(int index, int of) => parts.Length == of ? parts[index] : throw new InvalidOperationException($"{parts.Length} parts cannot be taken apart into {of}.");
}
