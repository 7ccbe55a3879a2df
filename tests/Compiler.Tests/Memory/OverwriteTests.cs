using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>What is written over what nothing reads any more.</summary>
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
}
