namespace Shardwright.Compiler.Graph.Definitions;

/// <summary>A constant that a model or one of its layers mentions.</summary>
/// <param name="FullName">Type and name: <c>My.Gpt.Hidden</c>.</param>
/// <param name="IsInteger">Whether it is a whole number.</param>
/// <param name="IsBoolean">Whether it is true or false.</param>
/// <param name="Number">What it is in the source.</param>
/// <param name="FixedIn">Types, by short name, whose graphs hold only its value: no plan can be made with another. Empty for a free one.</param>
public sealed record NamedConstant(string FullName, bool IsInteger, bool IsBoolean, double Number, EquatableArray<string> FixedIn)
{
    /// <summary>Whether plans can be made with other values.</summary>
    public bool IsFree => FixedIn.Count == 0;
}

/// <summary>The constants of a model and of the layers that it reaches, and the same definitions with other values for some.</summary>
public sealed class ConstantTable
{
    private readonly string _model;

    private ConstantTable(string model, ImmutableArray<NamedConstant> constants)
    {
        _model = model;
        Constants = constants;
    }

    /// <summary>All constants by full name.</summary>
    public ImmutableArray<NamedConstant> Constants { get; }

    /// <summary>Names as a person may write them: those of the model itself without its name.</summary>
    public IEnumerable<string> Names => Constants.Select(c => Shown(c.FullName));

    /// <summary>The constants of a model and its layers.</summary>
    public static ConstantTable Of(LayerDefinition model, IEnumerable<LayerDefinition> layers)
    {
        var constants = layers.Prepend(model).SelectMany(layer => layer.Constants.Select(c => (FullName: FullName(layer, c.Name), Layer: layer, Constant: c)))
            .GroupBy(c => c.FullName)
            .Select(g => new NamedConstant(
                g.Key, g.First().Constant.IsInteger, g.First().Constant.IsBoolean, g.First().Constant.Fixed,
                g.Where(c => c.Constant.Value is null).Select(c => c.Layer.ShortName).Distinct().OrderBy(n => n, StringComparer.Ordinal).ToEquatable()))
            .OrderBy(c => c.FullName, StringComparer.Ordinal);
        return new ConstantTable(TypeName(model), constants.ToImmutableArray());
    }

    /// <summary>Constants that a name may mean: one of the model itself comes before all others, and a full name before its endings.</summary>
    public ImmutableArray<NamedConstant> Find(string name)
    {
        NamedConstant? exact = Constants.FirstOrDefault(c => c.FullName == _model + "." + name) ?? Constants.FirstOrDefault(c => c.FullName == name);
        return exact is not null ? ImmutableArray.Create(exact) : Constants.Where(c => c.FullName.EndsWith("." + name, StringComparison.Ordinal)).ToImmutableArray();
    }

    /// <summary>A full name as a person may write it.</summary>
    public string Shown(string fullName) =>
        fullName.StartsWith(_model + ".", StringComparison.Ordinal) && fullName.IndexOf('.', _model.Length + 1) < 0 ? fullName.Substring(_model.Length + 1) : fullName;

    /// <summary>A definition with other values for constants, by full name.</summary>
    public static LayerDefinition With(LayerDefinition layer, IReadOnlyDictionary<string, Expression> values) => values.Count == 0 ? layer : layer with
    {
        Constants = layer.Constants.Select(c => c.Value is not null && values.TryGetValue(FullName(layer, c.Name), out Expression? value) ? c with { Value = value } : c).ToEquatable(),
    };

    private static string FullName(LayerDefinition layer, string name) => name.Contains(".") ? name : TypeName(layer) + "." + name;

    private static string TypeName(LayerDefinition layer) => layer.Type.Split(',')[0];
}
