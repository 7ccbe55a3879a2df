using Shardwright.Compiler.Differentiation;

namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Ops;

/// <summary>A change of placement is the identity on logical values, and so is its gradient: every pair of placements, on one axis, on two, and on two that cut one dim.</summary>
public sealed class ReshardTests
{
    private static readonly Placement[] s_placements = [Placement.Broadcast, Placement.Partial, Placement.Split(0), Placement.Split(1), Placement.Split(2)];

    public static TheoryData<int[]> Meshes => [new[] { 2 }, new[] { 3 }, new[] { 4 }, new[] { 2, 2 }, new[] { 2, 3 }, new[] { 4, 2 }];

    [Theory]
    [MemberData(nameof(Meshes))]
    public void EveryChangeKeepsTheValue(int[] parts)
    {
        var random = new Random(41);
        TensorType type = Smallest(parts);
        Dense logical = Dense.Random(type.Dims, random);
        foreach (ImmutableArray<Placement> from in Layouts(parts.Length))
        {
            foreach (ImmutableArray<Placement> to in Layouts(parts.Length))
            {
                var graph = new GraphBuilder();
                Value x = graph.AddInput("x", type), y = graph.Add(new ElementwiseOp("Reshard", ScalarExpression.In(0)), x);
                var sharded = new ShardedGraph(graph.Graph, Axes(parts));
                for (int axis = 0; axis < parts.Length; axis++)
                {
                    sharded.Set(x, axis, from[axis]);
                    sharded.Set(y, axis, to[axis]);
                    sharded.Set(y.Producer!, axis, new Signature(EquatableArray.Of(to[axis]), EquatableArray.Of(to[axis])));
                }

                LocalGraph local = Lowering.Lower(sharded);
                var mesh = new MeshInterpreter(local);
                mesh.Give(local.Homes[x], logical, random);
                mesh.Run();
                LocalTensor result = local.Homes[y];
                Assert.True(to.SequenceEqual(result.Layout));
                double distance = mesh.Whole(result).Distance(logical);
                Assert.True(distance <= 1e-9, $"{string.Join(", ", from)} -> {string.Join(", ", to)}: off by {distance}");
                if (parts.Length == 1)
                {
                    Assert.Equal(Expected(from[0], to[0]), mesh.Collectives);
                }
            }
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(2, 2)]
    [InlineData(2, 3)]
    public void EveryChangeHandsTheGradientThrough(params int[] parts)
    {
        var random = new Random(43);
        TensorType type = Smallest(parts);
        Dense value = Dense.Random(type.Dims, random), factor = Dense.Random(type.Dims, random);
        double expected = value.Zip(factor, (a, b) => a * b).Data.Sum();
        foreach (ImmutableArray<Placement> from in Layouts(parts.Length))
        {
            foreach (ImmutableArray<Placement> to in Layouts(parts.Length))
            {
                string what = $"{string.Join(", ", from)} -> {string.Join(", ", to)}";
                var graph = new GraphBuilder();
                Value w = graph.AddParameter("w", type, new ParameterInfo("w", new Initializer(InitKind.Constant, 0, 0), false)), c = graph.AddInput("c", type);
                Value first = Place(w, from), second = Place(first, to);
                Value loss = graph.Add(new SumOp(EquatableArray.Of(0, 1, 2), false), graph.Add(Functions.Find("Multiply")!, second, c));
                graph.Graph.Losses.Add((loss, 1));
                Differentiator.Differentiate(graph.Graph);
                ShardedGraph sharded = SignatureSearch.Place(graph.Graph, Axes(parts), 1e9, 1e9, default, out ImmutableArray<(Node, ShardAxis)> blocked);
                Assert.Empty(blocked);
                Assert.True(from.SequenceEqual(sharded.Layout(first)), what);
                Assert.True(to.SequenceEqual(sharded.Layout(second)), what);
                LocalGraph local = Lowering.Lower(sharded);
                var mesh = new MeshInterpreter(local);
                mesh.Give(local.Homes[w], value, random);
                mesh.Give(local.Homes[c], factor, random);
                mesh.Run();
                double sum = mesh.Whole(local.Homes[loss]).Data[0], distance = mesh.Whole(Assert.Single(local.Gradients).Gradient).Distance(factor);
                Assert.True(Math.Abs(sum - expected) <= 1e-8 * (1 + Math.Abs(expected)), $"{what}: loss {sum}, not {expected}");
                Assert.True(distance <= 1e-9, $"{what}: gradient off by {distance}");

                Value Place(Value x, ImmutableArray<Placement> layout)
                {
                    Value placed = graph.Add(new ElementwiseOp("Reshard", ScalarExpression.In(0)), x);
                    placed.Requests.AddRange(layout.Select((p, axis) => new PlacementRequest("axis" + axis, p, "")));
                    return placed;
                }
            }
        }
    }

    /// <summary>Every dim can be cut by all axes together.</summary>
    private static TensorType Smallest(int[] parts)
    {
        long size = parts.Length == 1 ? 2 * parts[0] : parts.Aggregate(1, (a, b) => a * b);
        return TensorType.Float(size, size, size);
    }

    /// <summary>On one axis a change is one collective, or none.</summary>
    private static CollectiveKind[] Expected(Placement from, Placement to) => (from.Kind, to.Kind) switch
    {
        _ when from == to => [],
        (PlacementKind.Split, PlacementKind.Split) => [CollectiveKind.AllToAll],
        (PlacementKind.Partial, PlacementKind.Split) => [CollectiveKind.ReduceScatter],
        (PlacementKind.Partial, PlacementKind.Broadcast) => [CollectiveKind.AllReduce],
        (PlacementKind.Split, PlacementKind.Broadcast) => [CollectiveKind.AllGather],
        _ => [],
    };

    private static IEnumerable<ImmutableArray<Placement>> Layouts(int axes) =>
        Enumerable.Range(0, axes).Aggregate((IEnumerable<ImmutableArray<Placement>>)[[]], (all, _) => all.SelectMany(head => s_placements.Select(p => head.Add(p))));

    private static ImmutableArray<ShardAxis> Axes(int[] parts) => [.. parts.Select((p, axis) => new ShardAxis("axis" + axis, p, 1e-6, 1e9))];
}
