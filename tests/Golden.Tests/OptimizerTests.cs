using System.Text.Json;
using Shardwright;
using Shardwright.Execution;
using static Shardwright.Ops;

namespace Shardwright.Tests.Cases
{
    [DeviceMesh]
    [MeshAxis("dp", 2, Role = AxisRole.Data)]
    [MeshAxis("tp", 2, Role = AxisRole.Tensor)]
    public sealed class Dp2Tp2;

    /// <summary>One matrix that decays and one bias that does not; the columns are split where the mesh has an axis for it.</summary>
    [ShardedOn<One>(Name = "Sgd", Optimizer = OptimizerKind.Sgd)]
    [ShardedOn<One>(Name = "Momentum", Optimizer = OptimizerKind.Momentum)]
    [ShardedOn<One>(Name = "AdamW")]
    [ShardedOn<Dp2Tp2>(Name = "ShardedSgd", Optimizer = OptimizerKind.Sgd)]
    [ShardedOn<Dp2Tp2>(Name = "ShardedMomentum", Optimizer = OptimizerKind.Momentum)]
    [ShardedOn<Dp2Tp2>(Name = "ShardedAdamW", MicroBatches = 2)]
    public sealed partial class OptimizerModel
    {
        [Split("tp", dim: 1)] readonly Tensor matrix = Parameter(6, 10);
        [Split("tp", dim: 0), NoDecay] readonly Tensor bias = Parameter(10);

        public Tensor Loss([Shape(8, 6), Split("dp", 0)] Tensor x, [Shape(8), Split("dp", 0)] TokenTensor targets) => CrossEntropy(3f * Tanh(Linear(x, matrix, bias)), targets);
    }
}

namespace Shardwright.Tests
{
    using Shardwright.Tests.Cases;

    /// <summary>Five steps of each optimizer against torch.optim, alone and on a mesh: losses, norms before clipping, parameters after.</summary>
    public sealed class OptimizerTests
    {
        private static readonly JsonElement s_golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "optimizers.json"))).RootElement;

        private delegate StepResult Step<in TRank>(TRank rank, Tensor x, TokenTensor targets, float clip);

        [Theory]
        [InlineData(false)]
        [InlineData(true)]
        public void SgdFollowsPyTorch(bool clipped)
        {
            Check("Sgd", clipped, OptimizerModel.Sgd.Mesh, r => new OptimizerModel.Sgd.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new SgdSettings(0.05f, 0.1f, clip)));
            Check("Sgd", clipped, OptimizerModel.ShardedSgd.Mesh, r => new OptimizerModel.ShardedSgd.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new SgdSettings(0.05f, 0.1f, clip)));
        }

        [Theory]
        [InlineData("Momentum", false)]
        [InlineData("Momentum", true)]
        [InlineData("Nesterov", false)]
        [InlineData("Nesterov", true)]
        public void MomentumFollowsPyTorch(string name, bool clipped)
        {
            bool nesterov = name == "Nesterov";
            Check(name, clipped, OptimizerModel.Momentum.Mesh, r => new OptimizerModel.Momentum.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new MomentumSettings(0.05f, 0.8f, nesterov, 0.1f, clip)));
            Check(name, clipped, OptimizerModel.ShardedMomentum.Mesh, r => new OptimizerModel.ShardedMomentum.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new MomentumSettings(0.05f, 0.8f, nesterov, 0.1f, clip)));
        }

        [Theory]
        [InlineData(false)]
        [InlineData(true)]
        public void AdamWFollowsPyTorch(bool clipped)
        {
            Check("AdamW", clipped, OptimizerModel.AdamW.Mesh, r => new OptimizerModel.AdamW.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new AdamWSettings(0.02f, 0.8f, 0.95f, 1e-3f, 0.1f, clip)));
            Check("AdamW", clipped, OptimizerModel.ShardedAdamW.Mesh, r => new OptimizerModel.ShardedAdamW.Rank(r, 1), (r, x, y, clip) => r.TrainStep(x, y, new AdamWSettings(0.02f, 0.8f, 0.95f, 1e-3f, 0.1f, clip)));
        }

        private static void Check<TRank>(string name, bool clipped, Mesh mesh, Func<RankContext, TRank> make, Step<TRank> step)
            where TRank : RankBase
        {
            JsonElement start = s_golden.GetProperty("start"), expected = s_golden.GetProperty("runs").GetProperty(name + (clipped ? "Clipped" : ""));
            Tensor x = Tensor.Of(Numbers(start.GetProperty("x")), 8, 6);
            TokenTensor targets = TokenTensor.Of([.. s_golden.GetProperty("targets").EnumerateArray().Select(v => v.GetInt32())], 8);
            using var world = World.InProcess(mesh);
            world.Run(context =>
            {
                using TRank rank = make(context);
                rank.LoadParameter("matrix", Numbers(start.GetProperty("matrix")));
                rank.LoadParameter("bias", Numbers(start.GetProperty("bias")));
                for (int i = 0; i < 5; i++)
                {
                    StepResult result = step(rank, x, targets, clipped ? 0.3f : 0);
                    Close(expected.GetProperty("losses")[i].GetDouble(), result.Loss, $"{name}: loss of step {i}");
                    Close(expected.GetProperty("norms")[i].GetDouble(), result.GradientNorm, $"{name}: norm of step {i}");
                }

                foreach (ParameterView parameter in rank.Parameters)
                {
                    float[] final = Numbers(expected.GetProperty("final").GetProperty(parameter.Path));
                    for (int i = 0; i < parameter.Value.Length; i++)
                    {
                        double difference = Math.Abs(parameter.Value[i] - final[parameter.Map[i]]);
                        Assert.True(difference <= 1e-5, $"{name}: {parameter.Path}[{parameter.Map[i]}] is {parameter.Value[i]}, PyTorch has {final[parameter.Map[i]]}");
                    }
                }
            });
        }

        private static void Close(double expected, double actual, string what) => Assert.True(Math.Abs(expected - actual) <= 1e-5 * Math.Abs(expected), $"{what} is {actual:R}, PyTorch has {expected:R}");

        private static float[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(v => v.GetSingle())];
    }
}
