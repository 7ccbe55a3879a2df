using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>What is written over what nothing reads any more, and what kernels are predicted to take.</summary>
public sealed class OverwriteTests
{
    [Theory]
    [InlineData("OnSingle")]
    [InlineData("OnDp2Tp2")]
    [InlineData("OnPp2")]
    public void TheGradientOfACrossEntropyTakesThePlaceOfItsLogits(string on)
    {
        RankProgram program = Plans.TinyGpt.Program(on);
        ProgramStatement.Run[] gradients = [.. program.Stages.SelectMany(s => s.Entries).SelectMany(e => e.Methods).SelectMany(m => m.Statements).OfType<ProgramStatement.Run>().Where(r => program.Kernels[r.Kernel] is OpKernel { Op: CrossEntropyGradientOp })];
        Assert.NotEmpty(gradients);
        Assert.All(gradients, g => Assert.Equal(g.Operands[0], g.Operands[g.Operands.Count - 1]));
    }

    [Fact]
    public void AnActivationInTheEpilogueTakesTime()
    {
        RankProgram program = Plans.TinyGpt.Program("OnSingle");
        double Seconds(Func<GemmKernel, bool> which) => program.Forecast.KernelSeconds[program.Kernels.ToList().FindIndex(k => k is GemmKernel g && which(g))];
        double plain = Seconds(g => g.Epilogue is null && g.N == 128 && g.K == 512), activated = Seconds(g => g.Ops.Contains("Gelu"));
        Assert.True(activated > 1.02 * plain, $"{activated} beside {plain}");
    }
}
