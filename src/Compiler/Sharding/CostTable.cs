namespace Shardwright.Compiler.Sharding;

/// <summary>A table of costs over a few variables; the last of its scope is innermost.</summary>
internal sealed class CostTable
{
    /// <summary>Wraps costs.</summary>
    public CostTable(int[] scope, long[] costs)
    {
        Scope = scope;
        Costs = costs;
    }

    /// <summary>Its variables.</summary>
    public int[] Scope { get; }

    /// <summary>Its entries.</summary>
    public long[] Costs { get; }

    /// <summary>Whether elimination has made it, and may use its entries again.</summary>
    public bool IsOwn { get; init; }

    /// <summary>Whether another table has taken its place; lists drop it when they are walked the next time.</summary>
    public bool IsGone { get; set; }

    /// <summary>Entries to step for a variable; 0 where the table does not touch it.</summary>
    public int Stride(int variable, List<int> domains)
    {
        int stride = 1;
        for (int i = Scope.Length - 1; i >= 0; i--)
        {
            if (Scope[i] == variable)
            {
                return stride;
            }

            stride *= domains[Scope[i]];
        }

        return 0;
    }
}
