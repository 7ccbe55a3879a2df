using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A value walks through every change of placement, on one axis and on two that cut one dim, and back through every gradient of these.</summary>
[ShardedOn<One>(Name = "Whole", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Tp4>(Name = "Four", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Tp2Tq2>(Name = "Nested", MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
public sealed partial class WalkingModel
{
    public const int Batch = 16, Rows = 8, Width = 16;

    readonly Tensor weight = Parameter(Width, Width, Init.Normal(0.3f));
    readonly Tensor scale = Parameter(Width, Init.Uniform(0.5f, 1.5f));

    public Tensor Loss([Shape(Batch, Rows)] TokenTensor ids, [Shape(Batch, Rows)] TokenTensor targets)
    {
        var x = Embedding(ids, weight);
        x = Reshard(x, Placement.Split("tp", 1));
        x = Reshard(x, Placement.Split("tp", 2));
        x = Reshard(x, Placement.Broadcast("tp"));
        x = Gelu(x) * scale;
        x = Reshard(x, Placement.Split("tp", 2));
        x = Reshard(x, Placement.Partial("tp"));
        x = Reshard(x, Placement.Split("tp", 1));
        x = Reshard(x, Placement.Partial("tp"));
        x = Reshard(x, Placement.Split("tp", 2), Placement.Split("tq", 2));
        x = Gelu(x);
        x = Reshard(x, Placement.Split("tp", 2), Placement.Partial("tq"));
        x = Reshard(x, Placement.Broadcast("tp"), Placement.Split("tq", 2));
        x = Reshard(x, Placement.Split("tp", 1), Placement.Split("tq", 1));
        x = Reshard(x, Placement.Split("tq", 1), Placement.Split("tp", 2));
        x = Reshard(x, Placement.Partial("tp"), Placement.Partial("tq"));
        x = Reshard(x, Placement.Broadcast("tp"), Placement.Partial("tq"));
        x = Reshard(x, Placement.Broadcast("tp"), Placement.Broadcast("tq"));
        return CrossEntropy(MatMul(x, Transpose(weight)), targets);
    }
}

[DeviceMesh]
[MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp4;

[DeviceMesh]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
[MeshAxis("tq", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp2Tq2;

/// <summary>The generated form of every change of placement: kernels, views and collectives.</summary>
public sealed class ReshardTests
{
    private static readonly SgdSettings s_sgd = new(0.1f);

    private static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        var random = new Random(300 + step);
        int[] Draw() => [.. Enumerable.Range(0, WalkingModel.Batch * WalkingModel.Rows).Select(_ => random.Next(WalkingModel.Width))];
        return (TokenTensor.Of(Draw(), WalkingModel.Batch, WalkingModel.Rows), TokenTensor.Of(Draw(), WalkingModel.Batch, WalkingModel.Rows));
    }

    [Theory]
    [InlineData("Four")]
    [InlineData("Nested")]
    public void AChangeOfPlacementChangesNoNumber(string name)
    {
        RunResult whole = MeshRun.Run("Whole", WalkingModel.Whole.Mesh, 5, r => new WalkingModel.Whole.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd));
        RunResult actual = name == "Four"
            ? MeshRun.Run(name, WalkingModel.Four.Mesh, 5, r => new WalkingModel.Four.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd))
            : MeshRun.Run(name, WalkingModel.Nested.Mesh, 5, r => new WalkingModel.Nested.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd));
        MeshRun.AssertInitial(whole, actual);
        MeshRun.AssertGradients(whole, actual, 1e-5);
        MeshRun.AssertLosses(whole, actual, 5, 1e-6);
        PlanCollective[] collectives = [.. name == "Four" ? WalkingModel.Four.Plan.Collectives : WalkingModel.Nested.Plan.Collectives];
        Assert.Superset(new HashSet<string> { "AllReduce", "AllGather", "AllToAll" }, collectives.Select(c => c.Op).ToHashSet());
    }
}
