namespace Shardwright.Compiler.Scheduling;

/// <summary>A way to cut a product whose result is summed over ranks: chunks of its rows, each with a kernel and a sum of its own.</summary>
/// <param name="Chunks">Number of chunks.</param>
/// <param name="Product">Time of the product of one.</param>
/// <param name="Sum">Time of the sum of one on the link.</param>
public readonly record struct Split(int Chunks, double Product, double Sum);

/// <summary>Decides into how many chunks a product is cut whose result goes into a sum over ranks: while the sum of one chunk travels, the next one is computed. The program is run on the clock with each
/// way to cut. Chunks cost: a kernel is launched and its weights are read for each, smaller products run at a smaller share of the peak, each sum has its latency.</summary>
public static class SplitChoice
{
    /// <summary>Counts of chunks that are looked at.</summary>
    public static readonly IReadOnlyList<int> Counts = new[] { 2, 4, 8 };

    /// <summary>Share of the sum's time that a split must win: what it wins less of is left as it is.</summary>
    public const double LeastGain = 0.25;

    /// <summary>Share of the program's time that it must win: times are not predicted to less.</summary>
    public const double LeastShare = 1.0 / 200;

    /// <summary>Share of the sum's time that twice as many chunks must win over half as many.</summary>
    private const double LeastMore = 1.0 / 16;

    /// <summary>Decides.</summary>
    /// <param name="program">The program, in order.</param>
    /// <param name="product">The product.</param>
    /// <param name="start">The start of the sum of its result.</param>
    /// <param name="ways">Ways to cut it, those with fewer chunks first.</param>
    /// <returns>The way; null where none pays.</returns>
    public static Split? Choose(IReadOnlyList<OrderedStep> program, int product, int start, IEnumerable<Split> ways)
    {
        double sum = program[start].Seconds, whole = Clock(program, product, start, new Split(1, program[product].Seconds, sum)), best = whole;
        Split? chosen = null;
        foreach (Split way in ways)
        {
            double seconds = Clock(program, product, start, way);
            if (whole - seconds >= Math.Max(LeastGain * sum, LeastShare * whole) && best - seconds >= LeastMore * sum)
            {
                (chosen, best) = (way, seconds);
            }
        }

        return chosen;
    }

    /// <summary>Time of the program with a product in chunks, each sum right behind its chunk, all of them waited for where the whole was.</summary>
    private static double Clock(IReadOnlyList<OrderedStep> program, int product, int start, Split way)
    {
        double clock = 0, summed = 0;
        var free = new Dictionary<string, double>();
        var ends = new double[program.Count];
        double Send(OrderedStep step, double seconds) => free[step.Lane] = Math.Max(clock, free.TryGetValue(step.Lane, out double since) ? since : 0) + seconds;
        for (int i = 0; i < program.Count; i++)
        {
            OrderedStep step = program[i];
            if (i == product)
            {
                for (int chunk = 0; chunk < way.Chunks; chunk++)
                {
                    clock += way.Product;
                    summed = Send(program[start], way.Sum);
                }
            }
            else if (step.Role == StepRole.Start)
            {
                ends[i] = i == start ? summed : Send(step, step.Seconds);
            }
            else
            {
                clock = step.Role == StepRole.Wait ? Math.Max(clock, ends[step.Of]) : clock + step.Seconds;
            }
        }

        return clock;
    }
}
