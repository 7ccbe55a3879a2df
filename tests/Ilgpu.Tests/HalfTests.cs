using System.Reflection;
using System.Text.Json;
using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Tests.Cases;

namespace Shardwright.Tests;

/// <summary>Every op, and a small GPT on meshes, in bf16 and in fp16 against the values of PyTorch in fp32.</summary>
/// <remarks>A number is stored with 8 bits, or with 11: rounding moves it by one unit, 2⁻⁸ or 2⁻¹¹ of itself, at most, and sums are made of floats and rounded once. In the case of an op the parameters are rounded before they are used, then
/// its result, what comes back to it, and the gradient: four times. (The gradient of c is the result; the loss is a sum that may cancel.) In the GPT some 40 tensors that are stored lie between a parameter and its gradient,
/// 20 between it and the loss; independent roundings add up like the root of their number.</remarks>
public sealed class HalfTests
{
    private static readonly JsonElement s_ops = Golden("ops.json"), s_gpt = Golden("gpt.json");

    public static IEnumerable<object[]> Names => s_ops.EnumerateObject().SelectMany(o => new object[][] { [o.Name, "Half"], [o.Name, "Fp16"] });

    /// <summary>A unit of the precision of a program.</summary>
    internal static double Unit(string program) => program.StartsWith("Fp16", StringComparison.Ordinal) ? 1.0 / 2048 : 1.0 / 256;

    [Theory]
    [MemberData(nameof(Names))]
    public void OpAndItsGradientsFollowPyTorch(string name, string program)
    {
        JsonElement golden = s_ops.GetProperty(name);
        Type model = typeof(GoldenGpt).Assembly.GetType("Shardwright.Tests.Cases." + name, throwOnError: true)!;
        Run(model, program, new GpuOptions(), rank =>
        {
            GoldenTests.Load(rank, golden);
            Check(rank, golden, DeviceRun.Train(rank, [.. GoldenTests.Arguments(model, golden), new AdamWSettings(0)]), 4, Unit(program));
        });
    }

    [Theory]
    [InlineData("Half", 1, false)]
    [InlineData("HalfM2", 1, false)]
    [InlineData("HalfWideM2", 1, false)]
    [InlineData("HalfSix", 1, false)]
    [InlineData("HalfSix", 2, false)]
    [InlineData("HalfSix", 2, true)]
    [InlineData("Fp16", 1, false)]
    [InlineData("Fp16M2", 1, false)]
    [InlineData("Fp16Six", 1, false)]
    [InlineData("Fp16Six", 2, false)]
    [InlineData("Fp16Six", 2, true)]
    public void GptFollowsPyTorch(string name, int devices, bool staged)
    {
        TokenTensor ids = TokenTensor.Of([.. s_gpt.GetProperty("ids").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context);
        TokenTensor targets = TokenTensor.Of([.. s_gpt.GetProperty("targets").EnumerateArray().Select(v => v.GetInt32())], GoldenGpt.Batch, GoldenGpt.Context);
        Tensor weights = Tensor.Of(GoldenTests.Numbers(s_gpt.GetProperty("weights")), GoldenGpt.Batch, GoldenGpt.Context);
        Run(typeof(GoldenGpt), name, new GpuOptions { CpuShape = (4, 4, devices), StageTransfers = staged }, rank =>
        {
            GoldenTests.Load(rank, s_gpt);
            StepResult result = DeviceRun.Train(rank, ids, targets, weights, new AdamWSettings(0));
            double loss = s_gpt.GetProperty("loss").GetDouble();
            Assert.Equal(loss, result.Loss, Math.Sqrt(20) * Unit(name) * loss);
            Check(rank, s_gpt, result, 3 * Math.Sqrt(40), Unit(name));
        });
    }

    private static JsonElement Golden(string file) => JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "golden", file))).RootElement;

    private static void Run(Type model, string name, GpuOptions options, Action<RankBase> body)
    {
        using GpuBackend backend = GpuBackend.Create(options with { Kind = GpuKind.Cpu });
        using var world = World.InProcess(DeviceRun.MeshOf(model, name), new WorldOptions { ThreadsPerRank = 1, Backend = backend });
        world.Run(context =>
        {
            using RankBase rank = DeviceRun.Make(model, name, context, 1);
            Assert.Equal(rank.Plan.TotalBytes, rank.AllocatedBytes);
            body(rank);
        });
    }

    private static void Check(RankBase rank, JsonElement golden, StepResult result, double units, double unit)
    {
        JsonElement gradients = golden.GetProperty("gradients");
        double global = Math.Sqrt(gradients.EnumerateObject().Sum(g => GoldenTests.Numbers(g.Value).Sum(v => (double)v * v))), worst = 0;
        string worstName = "";
        foreach (ParameterView parameter in rank.Parameters)
        {
            float[] expected = GoldenTests.Numbers(gradients.GetProperty(parameter.Path));
            double norm = Math.Max(Math.Sqrt(expected.Sum(v => (double)v * v)), unit * global), difference = 0;
            ReadOnlySpan<float> actual = parameter.Gradient;
            for (int i = 0; i < actual.Length; i++)
            {
                double d = expected[parameter.Map[i]] - actual[i] / result.Weight;
                difference += d * d;
            }

            if (Math.Sqrt(difference) / norm > worst)
            {
                (worst, worstName) = (Math.Sqrt(difference) / norm, parameter.Path);
            }
        }

        Assert.True(worst <= units * unit, $"gradient of {worstName}: relative difference {worst:g3}, {worst / unit:g3} units");
    }
}
