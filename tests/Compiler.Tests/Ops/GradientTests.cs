using Shardwright.Compiler.Differentiation;

namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>The graph that differentiation builds, against central differences of the forward graph, in double precision.</summary>
public sealed class GradientTests
{
    private const double Step = 1e-5;

    /// <summary>Central differences lose about a third of the digits: errors of Step² and of 1e-16 / Step.</summary>
    private const double Tolerance = 1e-6;

    public static TheoryData<string> Differentiable => [.. OpCases.All.Where(c => IsDifferentiable(c)).Select(c => c.Label)];

    private static bool IsDifferentiable(OpCase test) =>
        !test.Op.GetType().Name.EndsWith("GradientOp", StringComparison.Ordinal)
        && test.Types.Inputs.Any(t => t.IsFloat)
        && test.Types.Inputs.Concat(test.Types.Outputs.Take(1)).All(t => t.Element is DType.Float32 or DType.Int32) // 16-bit values are rounded: differences say nothing
        && test.Types.Outputs[0].IsFloat;

    [Theory]
    [MemberData(nameof(Differentiable))]
    public void Gradient_is_that_of_differences(string label)
    {
        OpCase test = OpCases.Find(label);
        var random = new Random(31);
        Dense[] values = test.Values(random);
        Dense weights = Dense.Random(test.Types.Outputs[0].Dims, random);
        Check(label, test, values, weights);
    }

    [Fact]
    public void Max_shares_its_gradient_among_ties()
    {
        var graph = new GraphBuilder();
        Value x = Parameter(graph, "x", TensorType.Float(2, 4));
        Value y = graph.Add(new ExtremeOp(EquatableArray.Of(1), false, true), x);
        graph.Graph.Losses.Add((graph.Add(new SumOp(EquatableArray.Of(0), false), y), 1));
        Differentiator.Differentiate(graph.Graph);
        Dense dx = GraphInterpreter.Run(graph.Graph, new() { [x] = new Dense([2, 4], [1, 3, 3, 0, 2, 2, 2, 2]) })[Assert.Single(graph.Graph.Gradients).Gradient];
        Assert.Equal([0, 0.5, 0.5, 0, 0.25, 0.25, 0.25, 0.25], dx.Data);
    }

    [Fact]
    public void Terms_of_a_value_used_twice_add_up()
    {
        var graph = new GraphBuilder();
        Value x = Parameter(graph, "x", TensorType.Float(3));
        Value y = graph.Add(Functions.Find("Multiply")!, x, x);
        graph.Graph.Losses.Add((graph.Add(new SumOp(EquatableArray.Of(0), false), y), 2));
        Differentiator.Differentiate(graph.Graph);
        Dense dx = GraphInterpreter.Run(graph.Graph, new() { [x] = new Dense([3], [1, -2, 5]) })[Assert.Single(graph.Graph.Gradients).Gradient];
        Assert.Equal([4, -8, 20], dx.Data);
    }

    [Fact]
    public void Weights_of_a_loss_that_depend_on_a_parameter_are_refused()
    {
        var graph = new GraphBuilder();
        Value logits = Parameter(graph, "logits", TensorType.Float(2, 4)), weights = Parameter(graph, "weights", TensorType.Float(2));
        Value sum = graph.Add(new CrossEntropyOp(-100, true), logits, graph.AddInput("targets", TensorType.Int(2)), weights);
        graph.Graph.Losses.Add((sum, 1));
        Differentiator.Differentiate(graph.Graph);
        GradientObstacle obstacle = Assert.Single(graph.Graph.Obstacles);
        Assert.Same(weights, obstacle.Input);
        Assert.Contains("weights", obstacle.Reason, StringComparison.Ordinal);
    }

    private static void Check(string label, OpCase test, Dense[] values, Dense weights)
    {
        var graph = new GraphBuilder();
        var given = new Dictionary<Value, Dense>();
        var inputs = new Value[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            TensorType type = test.Types.Inputs[i];
            bool isData = !type.IsFloat || (test.Op is CrossEntropyOp && i == 2);
            inputs[i] = !isData ? Parameter(graph, "x" + i, type) : graph.AddInput("x" + i, type);
            given[inputs[i]] = values[i];
        }

        // loss = Σ weights · output, times a factor that the seed must carry.
        const double Factor = 0.7;
        Value weight = graph.AddInput("weights", test.Types.Outputs[0]);
        given[weight] = weights;
        Value product = graph.Add(Functions.Find("Multiply")!, graph.Add(test.Op, inputs), weight);
        Value loss = product.Type.Rank == 0 ? product : graph.Add(new SumOp(Enumerable.Range(0, product.Type.Rank).ToEquatable(), false), product);
        graph.Graph.Losses.Add((loss, Factor));
        int forward = graph.Graph.Nodes.Count();
        Differentiator.Differentiate(graph.Graph);
        Dictionary<Value, Dense> results = GraphInterpreter.Run(graph.Graph, given);

        foreach (Value parameter in graph.Graph.Parameters)
        {
            Value? gradient = graph.Graph.Gradients.SingleOrDefault(g => g.Parameter == parameter)?.Gradient;
            Dense actual = gradient is null ? new Dense(parameter.Type.Dims) : results[gradient];
            Dense x = given[parameter];
            for (int i = 0; i < x.Data.Length; i++)
            {
                double kept = x.Data[i];
                double difference = (Loss(kept + Step) - Loss(kept - Step)) / (2 * Step);
                x.Data[i] = kept;
                Assert.True(
                    Math.Abs(actual.Data[i] - difference) <= Tolerance * (1 + Math.Abs(difference)),
                    $"{label}: element {i} of the gradient of {parameter.Name} is {actual.Data[i]}, by differences {difference}");

                double Loss(double value)
                {
                    x.Data[i] = value;
                    return Factor * GraphInterpreter.Run(graph.Graph, given, forward)[loss].Data[0];
                }
            }
        }
    }

    private static Value Parameter(GraphBuilder graph, string name, TensorType type) =>
        graph.AddParameter(name, type, new ParameterInfo(name, new Initializer(InitKind.Constant, 0, 0), false));
}

/// <summary>Runs a straight graph in order with the reference interpreter.</summary>
internal static class GraphInterpreter
{
    public static Dictionary<Value, Dense> Run(ModelGraph graph, Dictionary<Value, Dense> given, int nodes = int.MaxValue)
    {
        var values = new Dictionary<Value, Dense>(given);
        foreach (Node node in graph.Nodes.Take(nodes))
        {
            Dense[] results = ReferenceInterpreter.Run(node.Op, node.Inputs.Select(v => values[v]).ToArray(), OperandTypes.Of(node));
            for (int o = 0; o < results.Length; o++)
            {
                values[node.Outputs[o]] = results[o];
            }
        }

        return values;
    }
}
