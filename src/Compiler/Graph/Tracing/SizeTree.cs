namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>How a size comes about: numbers in source, and what is computed from them.</summary>
public abstract record SizeTree
{
    /// <summary>A number in source.</summary>
    /// <param name="Name">Of the constant that holds it; empty for a literal where it is used.</param>
    /// <param name="Place">Where it stands, or is named: Type#site.</param>
    /// <param name="Value">What it is.</param>
    public sealed record Number(string Name, string Place, long Value) : SizeTree;

    /// <summary>Arithmetic: + - * / %.</summary>
    public sealed record Computed(string Operator, SizeTree Left, SizeTree Right) : SizeTree;

    /// <summary>All numbers, each once: constants before literals.</summary>
    public IEnumerable<Number> Numbers => All().GroupBy(n => n.Name.Length > 0 ? n.Name : n.Place).Select(g => g.First()).OrderBy(n => n.Name.Length == 0);

    /// <summary>The size with another value for one of its numbers; null where it has none.</summary>
    public long? With(Number changed, long value)
    {
        try
        {
            return Evaluate(n => n.Name == changed.Name && (n.Name.Length > 0 || n.Place == changed.Place) ? value : n.Value);
        }
        catch (Exception error) when (error is OverflowException or DivideByZeroException)
        {
            return null;
        }
    }

    private IEnumerable<Number> All() => this switch
    {
        Number number => new[] { number },
        Computed computed => computed.Left.All().Concat(computed.Right.All()),
        _ => Array.Empty<Number>(),
    };

    private long Evaluate(Func<Number, long> number)
    {
        if (this is Number leaf)
        {
            return number(leaf);
        }

        var computed = (Computed)this;
        long left = computed.Left.Evaluate(number), right = computed.Right.Evaluate(number);
        return computed.Operator switch
        {
            "+" => checked(left + right),
            "-" => checked(left - right),
            "*" => checked(left * right),
            "/" => left / right,
            _ => left % right,
        };
    }
}
