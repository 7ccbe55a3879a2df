using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Plans;

/// <summary>Runs the planner of the compiler, and says in one line why there is no plan.</summary>
internal static class PlanRunner
{
    /// <summary>The program of a rank.</summary>
    /// <param name="target">What to plan, overrides in place.</param>
    /// <param name="overrides">For messages.</param>
    /// <param name="cancellation">Ends every search.</param>
    public static (RankProgram Program, PlanResult Result) Run(PlanTarget target, Overrides overrides, CancellationToken cancellation) =>
        Checked(target, overrides, () => Planner.Plan(target.Model, target.Layers.GetValueOrDefault, target.On, cancellation));

    /// <summary>The program of a rank, without a search for what would fit where it does not.</summary>
    /// <param name="target">What to plan, overrides in place.</param>
    /// <param name="overrides">For messages.</param>
    /// <param name="cancellation">Ends every search.</param>
    public static RankProgram Bare(PlanTarget target, Overrides overrides, CancellationToken cancellation) =>
        Checked(target, overrides, () => Planner.Bare(target.Model, target.Layers.GetValueOrDefault, target.On, cancellation)).Program;

    /// <summary>Where every tensor lies.</summary>
    /// <param name="target">What to plan, overrides in place.</param>
    /// <param name="overrides">For messages.</param>
    /// <param name="cancellation">Ends every search.</param>
    public static ImmutableArray<PlacedTensor> Placements(PlanTarget target, Overrides overrides, CancellationToken cancellation)
    {
        ImmutableArray<PlacedTensor> tensors = [];
        Checked(target, overrides, () =>
        {
            (tensors, PlanResult plan) = Planner.Placements(target.Model, target.Layers.GetValueOrDefault, target.On, cancellation);
            return plan;
        });
        return tensors;
    }

    private static (RankProgram Program, PlanResult Result) Checked(PlanTarget target, Overrides overrides, Func<PlanResult> plan)
    {
        string with = overrides.ToString();
        string shown = target.Shown + (with.Length > 0 ? " with " + with : "");
        PlanResult result;
        try
        {
            result = plan();
        }
        catch (OverflowException)
        {
            throw TooLarge(shown);
        }

        if (result.Program is not { } program)
        {
            Finding? first = result.Findings.FirstOrDefault(f => f.IsError);
            throw CliException.Refused($"no plan of {shown}: {(first is null ? "an expression of it was not compiled" : $"{first.Id}: {first.Message}")}");
        }

        return program.Stages.SelectMany(s => s.Buffers).Any(b => b.Offset < 0 || b.Length < 0) || program.ArenaBytes < 0 || program.Stages.SelectMany(s => s.Buffers).Sum(Bytes) > long.MaxValue / 2
            ? throw TooLarge(shown)
            : (program, result);
    }

    /// <summary>In floating point, which does not wrap around.</summary>
    private static double Bytes(BufferPlan buffer) => 4.0 * buffer.Length * Math.Max(1, buffer.Slots);

    private static CliException TooLarge(string shown) => CliException.Refused($"no plan of {shown}: its tensors have more bytes than 64 bits can count; make a size smaller");
}
