using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>A sum in two doubles: its value, and what that has lost by rounding. It has about 100 bits, so that terms may be added in any order, cut over any ranks, and still give the same double.</summary>
/// <param name="High">The sum, rounded.</param>
/// <param name="Low">The rest.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct WideSum(double High, double Low)
{
    /// <summary>The sum as a double.</summary>
    public double Value => High + Low;

    /// <summary>A sum of one term.</summary>
    public static implicit operator WideSum(double value) => new(value, 0);

    /// <summary>The sum of both.</summary>
    public static WideSum operator +(WideSum a, WideSum b)
    {
        double sum = a.High + b.High, back = sum - a.High;
        double lost = (a.High - (sum - back)) + (b.High - back) + (a.Low + b.Low), high = sum + lost;
        return new WideSum(high, lost - (high - sum));
    }
}
