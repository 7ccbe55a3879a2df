using Shardwright.Execution;
using Shardwright.Gpu;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

/// <summary>Training in bf16 and in fp16 beside training in fp32 on the host: one rank, every optimizer, meshes, pipelines, ZeRO, recomputation.</summary>
/// <remarks>A bf16 has 8 bits, an fp16 11: rounding moves a number by one unit, 2⁻⁸ or 2⁻¹¹ of itself, at most. Between a parameter and its gradient of these models lie some 40 tensors that are stored (parameters, what each op
/// leaves forward, and as many backward), between it and the loss some 20; independent roundings add up like the root of their number. Some models answer a change more strongly than by as much of their gradient:
/// where rounding the parameters alone, with all else in fp32, moves it further than that, a rank in either may be as far away.</remarks>
public sealed class HalfTrainingTests
{
    private static readonly double s_losses = Math.Sqrt(20), s_gradients = 3 * Math.Sqrt(40);

    private static readonly object[] s_mlp =
    [
        Tensor.Of([.. Enumerable.Range(0, DropoutModel.Batch * DropoutModel.Width).Select(i => MathF.Sin(i * 1.7f))], DropoutModel.Batch, DropoutModel.Width),
        TokenTensor.Of([.. Enumerable.Range(0, DropoutModel.Batch).Select(i => i * 5 % DropoutModel.Classes)], DropoutModel.Batch),
    ];

    private static readonly AdamWSettings s_adam = new(0.01f, ClipNorm: 0.5f);
    private static readonly object[] s_step = [.. StageNet.Data(), s_adam];

    [Theory]
    [InlineData("AdamW", "Half")]
    [InlineData("AdamW", "HalfM4")]
    [InlineData("AdamW", "HalfWideM4")]
    [InlineData("AdamW", "HalfSplit")]
    [InlineData("Momentum", "HalfMomentum")]
    [InlineData("Sgd", "HalfSgd")]
    [InlineData("AdamW", "Fp16")]
    [InlineData("AdamW", "Fp16M4")]
    [InlineData("AdamW", "Fp16Split")]
    [InlineData("Momentum", "Fp16Momentum")]
    [InlineData("Sgd", "Fp16Sgd")]
    public void PerceptronsFollowFloats(string wide, string narrow)
    {
        object settings = wide switch { "AdamW" => s_adam, "Momentum" => new MomentumSettings(0.05f, 0.9f, true), _ => new SgdSettings(0.05f) };
        Near(typeof(DropoutModel), wide, narrow, 8, [.. s_mlp, settings]);
    }

    [Theory]
    [InlineData("Half")]
    [InlineData("HalfFull")]
    [InlineData("HalfSelective")]
    [InlineData("HalfPairs")]
    [InlineData("HalfWideZero2")]
    [InlineData("HalfOneForwardOneBackward")]
    [InlineData("HalfInterleaved")]
    [InlineData("HalfZeroBubbleV")]
    [InlineData("HalfCubeZero1")]
    [InlineData("HalfCubeZero3")]
    [InlineData("Fp16")]
    [InlineData("Fp16Full")]
    [InlineData("Fp16Selective")]
    [InlineData("Fp16Pairs")]
    [InlineData("Fp16Zero2")]
    [InlineData("Fp16OneForwardOneBackward")]
    [InlineData("Fp16Interleaved")]
    [InlineData("Fp16ZeroBubbleV")]
    [InlineData("Fp16CubeZero1")]
    [InlineData("Fp16CubeZero3")]
    public void StagesFollowFloats(string name) => Near(typeof(StageNet), "Alone", name, 4, s_step);

    [Theory]
    [InlineData("Half")]
    [InlineData("HalfZero2")]
    [InlineData("Fp16")]
    [InlineData("Fp16Zero2")]
    public void NumbersWithoutDimsMeetTensors(string name) => Near(typeof(HalfCorners), "Wide", name, 3, [Tensor.Of([.. Enumerable.Range(0, 24).Select(i => MathF.Sin(i * 1.7f))], 4, 6), s_adam]);

    private static void Near(Type model, string wideName, string narrowName, int steps, object[] arguments)
    {
        Result first = Run(model, wideName, null, 1, arguments), narrowFirst = Run(model, narrowName, new GpuOptions(), 1, arguments);
        Result rounded = Run(MeshOf(model, wideName), null, context => Rounded(Make(model, wideName, context), narrowName), rank => Train(rank, arguments), 1);
        double unit = HalfTests.Unit(narrowName);
        (double worst, string path) = Difference(first, narrowFirst, unit);
        double gradients = Math.Max(s_gradients * unit, Difference(first, rounded, unit).Worst);
        double loss = 0;
        Result wide = Run(model, wideName, null, steps, arguments), narrow = Run(model, narrowName, new GpuOptions(), steps, arguments);
        for (int i = 0; i < steps; i++)
        {
            loss = Math.Max(loss, Math.Abs(wide.Losses[i] - narrow.Losses[i]) / wide.Losses[i]);
        }

        Assert.True(worst <= gradients, $"the gradient of {path} is {worst / unit:f1} units away, not {gradients / unit:f1}");
        Assert.True(loss <= s_losses * unit, $"losses are {loss / unit:f1} units away, not {s_losses:f1}");
    }

    /// <summary>The worst of all gradients. Of one that is a small part of all of them, what is lost counts against a unit of all.</summary>
    private static (double Worst, string Path) Difference(Result expected, Result actual, double unit)
    {
        double all = Norm(expected.Gradients.Values.SelectMany(g => g));
        return expected.Gradients.Select(g => (Norm(g.Value.Zip(actual.Gradients[g.Key], (x, y) => x - y)) / Math.Max(Norm(g.Value), unit * all), g.Key)).Max();
    }

    /// <summary>Parameters of a rank of the host, each the nearest of a precision.</summary>
    private static RankBase Rounded(RankBase rank, string program)
    {
        foreach (ParameterView p in rank.Parameters)
        {
            p.Write([.. p.Read().Select(v => HalfTests.Unit(program) < 1e-3 ? (float)(Float16)v : (BFloat16)v)]);
        }

        return rank;
    }

    private static double Norm(IEnumerable<float> values) => Math.Sqrt(values.Sum(v => (double)v * v));
}
