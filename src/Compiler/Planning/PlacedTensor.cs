using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Where a tensor of a training step lies on the mesh: for people, beside the plan.</summary>
/// <param name="Name">Logical path of a parameter (<c>{0}</c> for the layer), name of an input or value.</param>
/// <param name="Kind">parameter, input, carried (from layer to layer of a stack), forward or backward.</param>
/// <param name="Layer">Path of the layer that computes it; empty for the model itself, parameters and inputs.</param>
/// <param name="Op">Op that computes it; empty for parameters, inputs and carried values.</param>
/// <param name="Layers">Layers of the stack that own one each; 0 outside of stacks.</param>
/// <param name="Logical">Shape of the whole step.</param>
/// <param name="Local">Shape on a rank, for one micro-batch.</param>
/// <param name="Made">Placement on each axis as its op leaves it.</param>
/// <param name="Kept">Placement on each axis as it is kept for those that read it.</param>
public sealed record PlacedTensor(
    string Name, string Kind, string Layer, string Op, int Layers, TensorType Logical, EquatableArray<long> Local,
    EquatableArray<(string Axis, Placement Placement)> Made, EquatableArray<(string Axis, Placement Placement)> Kept);

/// <summary>Placements of every tensor, as the planner has decided them.</summary>
public sealed partial class Planner
{
    private ShardedGraph? _train;

    /// <summary>Plans a model on one of its meshes, and lists where each tensor of its training step lies: parameters, inputs, then values in the order in which they are computed.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions of the layers it holds, by full name with assembly.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="cancellation">Ends every search.</param>
    /// <returns>The tensors, none where there is no plan; and what was found on the way.</returns>
    public static (ImmutableArray<PlacedTensor> Tensors, PlanResult Plan) Placements(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation)
    {
        var planner = new Planner(model, layers, on, cancellation);
        RankProgram? program = planner.Run();
        var plan = new PlanResult(planner._findings.Any(f => f.IsError) ? null : program, planner._findings.Distinct().ToImmutableArray());
        return (plan.Program is null || planner._train is null ? ImmutableArray<PlacedTensor>.Empty : Tensors(planner._train).ToImmutableArray(), plan);
    }

    private static IEnumerable<PlacedTensor> Tensors(ShardedGraph sharded)
    {
        foreach (Value parameter in sharded.Graph.Parameters)
        {
            yield return Placed(sharded, parameter, parameter.Parameter!.Path, "parameter", null);
        }

        foreach (Value input in sharded.Graph.Inputs)
        {
            yield return Placed(sharded, input, input.Name, "input", null);
        }

        foreach (Region region in sharded.Graph.Regions)
        {
            foreach (Carry carry in region.Carries)
            {
                yield return Placed(sharded, carry.Argument, carry.Argument.Name, "carried", null);
            }

            foreach (Node node in region.Nodes)
            {
                foreach (Value output in node.Outputs)
                {
                    yield return Placed(sharded, output, output.Name, node.IsBackward ? "backward" : "forward", node);
                }
            }
        }
    }

    private static PlacedTensor Placed(ShardedGraph sharded, Value value, string name, string kind, Node? node)
    {
        ImmutableArray<Placement> kept = sharded.Layout(value), made = node is null ? kept : sharded.OutputLayout(node, value.ProducerOutput);
        EquatableArray<(string, Placement)> OnAxes(ImmutableArray<Placement> layout) =>
            sharded.Axes.Select((axis, i) => (axis, i)).Where(a => !a.axis.IsMicroBatch).Select(a => (a.axis.Name, layout[a.i])).ToEquatable();
        return new PlacedTensor(
            name, kind, node?.Origin ?? "", node?.Op.Name ?? "", value.Stack < 0 ? 0 : sharded.Graph.Stacks[value.Stack].Layers, value.Type,
            sharded.Local(value.Type, kept).ToEquatable(), OnAxes(made), OnAxes(kept));
    }
}
