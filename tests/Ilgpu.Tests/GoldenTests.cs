using System.Reflection;
using System.Text.Json;
using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Tests.Cases;

namespace Shardwright.Tests;

/// <summary>Emitted kernels of every op, and of a small GPT on meshes, against the values recorded from PyTorch: those that the CPU kernels are held to.</summary>
public sealed class GoldenTests
{
    private static readonly JsonElement s_ops = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "ops.json"))).RootElement;
    private static readonly JsonElement s_gpt = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "gpt.json"))).RootElement;

    public static TheoryData<string> Names => new(s_ops.EnumerateObject().Select(o => o.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void OpAndItsGradientsFollowPyTorch(string name)
    {
        JsonElement golden = s_ops.GetProperty(name);
        Type model = typeof(GoldenGpt).Assembly.GetType("Shardwright.Tests.Cases." + name, throwOnError: true)!;
        Type on = model.GetNestedType("OnOne", BindingFlags.Public)!;
        Run((Mesh)on.GetProperty("Mesh")!.GetValue(null)!, new GpuOptions { Kind = GpuKind.Cpu }, context =>
        {
            Type type = on.GetNestedType("IlgpuRank")!;
            using var rank = (RankBase)Activator.CreateInstance(type, context, 1UL)!;
            Load(rank, golden);
            var result = (StepResult)type.GetMethod("TrainStep")!.Invoke(rank, [.. Arguments(model, golden), new AdamWSettings(0)])!;
            Check(rank, golden, result);
        });
    }

    [Fact]
    public void GptOnOneRank() => Gpt(GoldenGpt.OnOne.Mesh, 1, false, r => new GoldenGpt.OnOne.IlgpuRank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    [Fact]
    public void GptInTwoMicroBatchesOfUnevenCounts() => Gpt(GoldenGpt.OnOneM2.Mesh, 1, false, r => new GoldenGpt.OnOneM2.IlgpuRank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    /// <summary>Six ranks on one device, on two that reach each other, and on two that meet in host memory.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(2, true)]
    public void GptOnSixRanks(int devices, bool staged) => Gpt(GoldenGpt.OnDp2Tp3.Mesh, devices, staged, r => new GoldenGpt.OnDp2Tp3.IlgpuRank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    private static void Gpt<TRank>(Mesh mesh, int devices, bool staged, Func<RankContext, TRank> make, Func<TRank, TokenTensor, TokenTensor, Tensor, StepResult> step)
        where TRank : RankBase
    {
        TokenTensor ids = TokenTensor.Of([.. s_gpt.GetProperty("ids").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context);
        TokenTensor targets = TokenTensor.Of([.. s_gpt.GetProperty("targets").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context);
        Tensor weights = Tensor.Of(Numbers(s_gpt.GetProperty("weights")), GoldenGpt.Batch, GoldenGpt.Context);
        Run(mesh, new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, devices), StageTransfers = staged }, context =>
        {
            using TRank rank = make(context);
            Load(rank, s_gpt);
            Check(rank, s_gpt, step(rank, ids, targets, weights));
        });
    }

    private static void Run(Mesh mesh, GpuOptions options, Action<RankContext> body)
    {
        using GpuBackend backend = GpuBackend.Create(options);
        using var world = World.InProcess(mesh, new WorldOptions { Backend = backend });
        world.Run(body);
    }

    /// <summary>Inputs of a case, by the names of Loss's parameters.</summary>
    internal static object[] Arguments(Type model, JsonElement golden) => [.. model.GetMethod("Loss")!.GetParameters().Select(p =>
    {
        JsonElement input = golden.GetProperty("inputs").GetProperty(p.Name!), values = input.GetProperty("values");
        int[] shape = [.. input.GetProperty("shape").EnumerateArray().Select(v => v.GetInt32())];
        return p.ParameterType == typeof(TokenTensor) ? (object)TokenTensor.Of([.. values.EnumerateArray().Select(v => v.GetInt32())], shape) : Tensor.Of(Numbers(values), shape);
    })];

    internal static void Load(RankBase rank, JsonElement golden)
    {
        foreach (JsonProperty p in golden.GetProperty("parameters").EnumerateObject())
        {
            rank.LoadParameter(p.Name, Numbers(p.Value));
        }
    }

    private static void Check(RankBase rank, JsonElement golden, StepResult result)
    {
        double expectedLoss = golden.GetProperty("loss").GetDouble();
        Assert.True(Math.Abs(expectedLoss - result.Loss) <= 1e-5 * Math.Max(1e-3, Math.Abs(expectedLoss)), $"loss is {result.Loss:R}, PyTorch has {expectedLoss:R}");
        JsonElement gradients = golden.GetProperty("gradients");
        double global = Math.Sqrt(gradients.EnumerateObject().Sum(g => Numbers(g.Value).Sum(v => (double)v * v)));
        Assert.Equal(gradients.EnumerateObject().Count(), rank.Parameters.Count);
        foreach (ParameterView parameter in rank.Parameters)
        {
            float[] expected = Numbers(gradients.GetProperty(parameter.Path));
            double norm = Math.Max(Math.Sqrt(expected.Sum(v => (double)v * v)), 1e-4 * global), difference = 0;
            ReadOnlySpan<float> actual = parameter.Gradient;
            for (int i = 0; i < actual.Length; i++)
            {
                double d = expected[parameter.Map[i]] - actual[i] / result.Weight;
                difference += d * d;
            }

            Assert.True(Math.Sqrt(difference) <= 1e-4 * norm, $"gradient of {parameter.Path}: relative difference {Math.Sqrt(difference) / norm:g3}");
        }
    }

    internal static float[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(v => v.GetSingle())];
}
