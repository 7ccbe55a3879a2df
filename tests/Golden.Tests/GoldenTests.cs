using System.Reflection;
using System.Text.Json;
using Shardwright.Execution;
using Shardwright.Tests.Cases;

namespace Shardwright.Tests;

/// <summary>Losses and gradients against PyTorch, recorded by golden/make_golden.py.</summary>
public sealed class GoldenTests
{
    private static readonly JsonElement s_ops = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "ops.json"))).RootElement;
    private static readonly JsonElement s_gpt = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", "gpt.json"))).RootElement;

    public static TheoryData<string> Names => new(s_ops.EnumerateObject().Select(o => o.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void GeneratedOpAndItsGradientsFollowPyTorch(string name)
    {
        Type model = typeof(GoldenGpt).Assembly.GetType("Shardwright.Tests.Cases." + name, throwOnError: true)!;
        Type on = model.GetNestedType("OnOne", BindingFlags.Public)!;
        using var world = World.InProcess((Mesh)on.GetProperty("Mesh")!.GetValue(null)!);
        world.Run(context =>
        {
            Type type = on.GetNestedType("Rank")!;
            using var rank = (RankBase)Activator.CreateInstance(type, context, 1UL)!;
            Load(rank, s_ops.GetProperty(name));
            var result = (StepResult)type.GetMethod("TrainStep")!.Invoke(rank, [.. Arguments(model, s_ops.GetProperty(name)), new AdamWSettings(0)])!;
            Check(rank, s_ops.GetProperty(name), result);
        });
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void EagerOpFollowsPyTorch(string name)
    {
        object model = Activator.CreateInstance(typeof(GoldenGpt).Assembly.GetType("Shardwright.Tests.Cases." + name, throwOnError: true)!)!;
        using EagerSession session = Eager.Session(model, 1);
        foreach (JsonProperty p in s_ops.GetProperty(name).GetProperty("parameters").EnumerateObject())
        {
            session.Set(p.Name, Numbers(p.Value));
        }

        var loss = (Tensor)model.GetType().GetMethod("Loss")!.Invoke(model, Arguments(model.GetType(), s_ops.GetProperty(name)))!;
        Close(s_ops.GetProperty(name).GetProperty("loss").GetDouble(), session.Objective(loss), 1e-5);
    }

    [Fact]
    public void GptFollowsPyTorchOnOneRank() => Gpt(GoldenGpt.OnOne.Mesh, r => new GoldenGpt.OnOne.Rank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    [Fact]
    public void GptFollowsPyTorchInTwoMicroBatchesOfUnevenCounts() => Gpt(GoldenGpt.OnOneM2.Mesh, r => new GoldenGpt.OnOneM2.Rank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    [Fact]
    public void GptFollowsPyTorchOnSixRanks() => Gpt(GoldenGpt.OnDp2Tp3.Mesh, r => new GoldenGpt.OnDp2Tp3.Rank(r, 1), (r, i, t, w) => r.TrainStep(i, t, w, new(0)));

    [Fact]
    public void GptFollowsPyTorchEagerly()
    {
        var model = new GoldenGpt();
        using EagerSession session = Eager.Session(model, 1);
        foreach (JsonProperty p in s_gpt.GetProperty("parameters").EnumerateObject())
        {
            session.Set(p.Name, Numbers(p.Value));
        }

        (TokenTensor ids, TokenTensor targets, Tensor weights) = Inputs();
        Close(s_gpt.GetProperty("loss").GetDouble(), session.Objective(model.Loss(ids, targets, weights)), 1e-5);
    }

    private static (TokenTensor Ids, TokenTensor Targets, Tensor Weights) Inputs() => (
        TokenTensor.Of([.. s_gpt.GetProperty("ids").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context),
        TokenTensor.Of([.. s_gpt.GetProperty("targets").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context),
        Tensor.Of(Numbers(s_gpt.GetProperty("weights")), GoldenGpt.Batch, GoldenGpt.Context));

    private static void Gpt<TRank>(Mesh mesh, Func<RankContext, TRank> make, Func<TRank, TokenTensor, TokenTensor, Tensor, StepResult> step)
        where TRank : RankBase
    {
        using var world = World.InProcess(mesh);
        world.Run(context =>
        {
            using TRank rank = make(context);
            Load(rank, s_gpt);
            (TokenTensor ids, TokenTensor targets, Tensor weights) = Inputs();
            Check(rank, s_gpt, step(rank, ids, targets, weights));
        });
    }

    /// <summary>Inputs of a case, by the names of Loss's parameters.</summary>
    private static object[] Arguments(Type model, JsonElement golden) => [.. model.GetMethod("Loss")!.GetParameters().Select(p =>
    {
        JsonElement input = golden.GetProperty("inputs").GetProperty(p.Name!), values = input.GetProperty("values");
        int[] shape = [.. input.GetProperty("shape").EnumerateArray().Select(v => v.GetInt32())];
        return p.ParameterType == typeof(TokenTensor) ? (object)TokenTensor.Of([.. values.EnumerateArray().Select(v => v.GetInt32())], shape) : Tensor.Of(Numbers(values), shape);
    })];

    private static void Load(RankBase rank, JsonElement golden)
    {
        foreach (JsonProperty p in golden.GetProperty("parameters").EnumerateObject())
        {
            rank.LoadParameter(p.Name, Numbers(p.Value));
        }
    }

    private static void Check(RankBase rank, JsonElement golden, StepResult result)
    {
        Close(golden.GetProperty("loss").GetDouble(), result.Loss, 1e-5);
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

    private static void Close(double expected, double actual, double bound) =>
        Assert.True(Math.Abs(expected - actual) <= bound * Math.Max(1e-3, Math.Abs(expected)), $"loss is {actual:R}, PyTorch has {expected:R}");

    private static float[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(v => v.GetSingle())];
}
