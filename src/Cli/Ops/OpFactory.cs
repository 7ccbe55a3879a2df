using System.Globalization;
using System.Reflection;
using Shardwright.Compiler.Graph;

namespace Shardwright.Cli.Ops;

/// <summary>Makes an op of the catalogue with attributes as they are typed.</summary>
internal static class OpFactory
{
    /// <summary>The op; attributes that are not given have the catalogue's defaults.</summary>
    /// <param name="entry">The op's entry.</param>
    /// <param name="given">Attributes by name, whatever their case.</param>
    /// <param name="inputs">Types of the inputs: some defaults follow from them.</param>
    public static Op Create(OpEntry entry, IReadOnlyList<KeyValuePair<string, string>> given, EquatableArray<TensorType> inputs)
    {
        foreach ((string name, _) in given)
        {
            if (!entry.Attributes.Any(a => Same(a.Name, name)))
            {
                throw CliException.Usage($"{entry.Name} has no attribute '{name}': {Suggestions.For(name, entry.Attributes.Select(a => a.Name), "its attributes")}");
            }
        }

        if (entry.Attributes.Count == 0)
        {
            return entry.Sample;
        }

        ConstructorInfo constructor = entry.Sample.GetType().GetConstructors().OrderByDescending(c => c.GetParameters().Length).First();
        object?[] arguments = [.. constructor.GetParameters().Select(p =>
        {
            OpAttribute attribute = entry.Attributes.First(a => a.Name == p.Name);
            string? text = given.FirstOrDefault(g => Same(g.Key, attribute.Name)).Value;
            return text is not null ? Parse(entry, attribute, text, p.ParameterType)
                : Derived(entry, attribute, inputs) is { } derived ? derived
                : attribute.Default.Length > 0 ? Parse(entry, attribute, attribute.Default, p.ParameterType)
                : throw CliException.Usage($"{entry.Name} needs its attribute {attribute.Name}: --attr {attribute.Name}={Example(entry, attribute)}");
        })];
        return (Op)constructor.Invoke(arguments);
    }

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    /// <summary>Defaults that are no constant: a flag for an optional last input, the scale of attention.</summary>
    private static object? Derived(OpEntry entry, OpAttribute attribute, EquatableArray<TensorType> inputs) =>
        attribute.Name.StartsWith("Has", StringComparison.Ordinal) ? inputs.Count > entry.SampleInputs.Count
        : attribute is { Name: "Scale", Default: "1 / sqrt(d)" } ? (inputs.Count > 0 && inputs[0].Rank > 0 ? (float)(1 / Math.Sqrt(inputs[0].Dims[^1])) : 1f)
        : null;

    private static object Parse(OpEntry entry, OpAttribute attribute, string text, Type type)
    {
        CultureInfo c = CultureInfo.InvariantCulture;
        string[] items = text.Split(['x', ','], StringSplitOptions.RemoveEmptyEntries);
        object? value =
            type == typeof(bool) ? bool.TryParse(text, out bool flag) ? flag : null
            : type == typeof(int) ? int.TryParse(text, NumberStyles.AllowLeadingSign, c, out int i) ? i : null
            : type == typeof(long) ? long.TryParse(text, NumberStyles.AllowLeadingSign, c, out long l) ? l : null
            : type == typeof(float) ? float.TryParse(text.TrimEnd('f'), NumberStyles.Float, c, out float f) && float.IsFinite(f) ? f : null
            : type == typeof(double) ? double.TryParse(text, NumberStyles.Float, c, out double d) && double.IsFinite(d) ? d : null
            : type == typeof(DType) ? ShapeList.Element(text)
            : type == typeof(string) ? text
            : type == typeof(EquatableArray<int>) ? items.All(n => int.TryParse(n, NumberStyles.AllowLeadingSign, c, out _)) ? items.Select(n => int.Parse(n, NumberStyles.AllowLeadingSign, c)).ToEquatable() : null
            : type == typeof(EquatableArray<long>) ? items.All(n => long.TryParse(n, NumberStyles.AllowLeadingSign, c, out _)) ? items.Select(n => long.Parse(n, NumberStyles.AllowLeadingSign, c)).ToEquatable() : null
            : throw new InvalidOperationException($"attribute {attribute.Name} of {entry.Name} has the type {type.Name}, which this tool cannot read");
        return value ?? throw CliException.Usage($"attribute {attribute.Name} of {entry.Name} cannot be '{text}': it takes {Kind(type)}, such as {Example(entry, attribute)}");
    }

    private static string Kind(Type type) =>
        type == typeof(bool) ? "true or false"
        : type == typeof(int) || type == typeof(long) ? "a whole number"
        : type.IsGenericType ? "whole numbers joined by x"
        : "a number";

    /// <summary>What the example of the catalogue has.</summary>
    public static string Example(OpEntry entry, OpAttribute attribute) => entry.Sample.GetType().GetProperty(attribute.Name)!.GetValue(entry.Sample) switch
    {
        bool flag => flag ? "true" : "false",
        IEnumerable<int> items => string.Join("x", items),
        IEnumerable<long> items => string.Join("x", items),
        DType element => ShapeList.Write(new TensorType(element, EquatableArray<long>.Empty)) is "scalar" ? "float" : element.ToString(),
        var value => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };
}
