using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators;

/// <summary>A model on one of its meshes, as the pipeline carries it.</summary>
/// <param name="Model">The model.</param>
/// <param name="On">The mesh.</param>
/// <param name="Program">The program of a rank; null where there is no valid plan.</param>
/// <param name="Errors">Why there is none.</param>
public sealed record PlannedMesh(LinkedModel Model, ShardedOnDefinition On, RankProgram? Program, string Errors)
{
    /// <summary>Plans a model on each of its meshes.</summary>
    internal static ImmutableArray<PlannedMesh> Plan(LinkedModel model, CancellationToken cancellation)
    {
        var result = ImmutableArray.CreateBuilder<PlannedMesh>(model.Source.Meshes.Count);
        foreach (ShardedOnDefinition on in model.Source.Meshes)
        {
            (RankProgram? program, string errors) = model.IsSound ? Plan(model, on, cancellation) : (null, Lines(model.Findings));
            result.Add(new PlannedMesh(model, on, program, errors));
        }

        return result.ToImmutable();
    }

    private static (RankProgram? Program, string Errors) Plan(LinkedModel model, ShardedOnDefinition on, CancellationToken cancellation)
    {
        try
        {
            PlanResult plan = PlanCache.Shared.Plan(model.Model, model.Layers, on, cancellation);
            string errors = Lines(plan.Findings);
            return (plan.Program, plan.Program is null && errors.Length == 0 ? "an expression of the model does not compile" : errors);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            // A fault of ours must not take the editor down; the analyzer, which meets the same fault, says so.
            return (null, $"the compiler failed: {error.GetType().Name}: {error.Message}");
        }
    }

    private static string Lines(IEnumerable<Finding> findings) => string.Join("\n", findings.Where(f => f.IsError).Select(f => f.Id + ": " + f.Message).Distinct());
}
