using System.Globalization;
using Shardwright.Compiler.Graph;

namespace Shardwright.Cli.Ops;

/// <summary>Shapes as they are typed: <c>4x8,8x6</c>, <c>scalar</c>, with an element type where it is not the op's usual one: <c>4x8:int</c>.</summary>
internal static class ShapeList
{
    private static readonly Dictionary<string, DType> s_elements = new(StringComparer.OrdinalIgnoreCase)
    {
        ["float"] = DType.Float32, ["int"] = DType.Int32, ["bf16"] = DType.BFloat16, ["half"] = DType.Float16,
    };

    /// <summary>Reads shapes.</summary>
    /// <param name="text">As typed; empty for an op without inputs.</param>
    /// <param name="usual">Element type of an input that says none, by its position.</param>
    public static EquatableArray<TensorType> Read(string text, Func<int, DType> usual) =>
        text.Trim().Length == 0 ? EquatableArray<TensorType>.Empty : text.Split(',').Select((shape, i) => One(shape.Trim(), usual(i))).ToEquatable();

    /// <summary>Reads an element type.</summary>
    public static DType Element(string name) => s_elements.TryGetValue(name, out DType element) ? element
        : Enum.TryParse(name, ignoreCase: true, out element) && Enum.IsDefined(element) ? element
        : throw CliException.Usage($"'{name}' is no element type: {Suggestions.For(name, s_elements.Keys, "element types")}");

    /// <summary>A type as it is typed.</summary>
    public static string Write(TensorType type)
    {
        string shape = type.Rank == 0 ? "scalar" : string.Join("x", type.Dims);
        return type.Element == DType.Float32 ? shape : shape + ":" + s_elements.First(e => e.Value == type.Element).Key;
    }

    private static TensorType One(string text, DType element)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0)
        {
            element = Element(text[(colon + 1)..]);
            text = text[..colon];
        }

        if (text is "scalar" or "1x" or "")
        {
            return text == "scalar" ? new TensorType(element, EquatableArray<long>.Empty) : throw CliException.Usage("--shapes has an empty shape: sizes are joined by x, shapes by commas, as in 4x8,8x6; one number is 'scalar'");
        }

        long[] dims = [.. text.Split('x', 'X').Select(size =>
            long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number is >= 1 and <= int.MaxValue
                ? number
                : throw CliException.Usage($"'{size}' in shape '{text}' is no size: sizes are whole numbers from 1 to {int.MaxValue}, joined by x as in 4x8"))];
        return dims.Aggregate(1.0, (product, size) => product * size) <= long.MaxValue / 8
            ? new TensorType(element, EquatableArray.Of(dims))
            : throw CliException.Usage($"shape '{text}' has more elements than 64 bits can count: make it smaller");
    }
}
