using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Tests.Scheduling;

/// <summary>How many chunks a product is cut into, by the clock alone.</summary>
public sealed class SplitChoiceTests
{
    private static int Chunks(double product, double sum, double each, double latency, double before = 0, double beside = 0)
    {
        OrderedStep Work(double seconds) => new(StepRole.Compute, seconds, default);
        OrderedStep[] program =
        [
            new(StepRole.Start, before, default) { Lane = "tp" }, Work(product), new(StepRole.Start, sum + latency, default) { Lane = "tp" }, Work(beside),
            new(StepRole.Wait, 0, default) { Of = 0 }, new(StepRole.Wait, 0, default) { Of = 2 }, Work(1),
        ];
        return SplitChoice.Choose(program, 1, 2, SplitChoice.Counts.Select(n => new Split(n, product / n + each, sum / n + latency)))?.Chunks ?? 1;
    }

    [Theory]
    [InlineData(4, 4, 0, 0, 8)]
    [InlineData(4, 1, 0, 0, 8)]
    [InlineData(4, 1, 0.03, 0, 4)] // twice as many win 0.125 of the sum, less 0.12
    [InlineData(4, 1, 0.1, 0, 2)]
    [InlineData(4, 1, 0.3, 0, 1)]
    [InlineData(4, 1, 0, 0.1, 8)]
    [InlineData(4, 1, 0, 0.5, 4)] // eighths would wait for their link
    [InlineData(1, 8, 0, 0, 1)] // three quarters of the product at most, of a sum of eight
    [InlineData(3, 8, 0, 0, 4)]
    public void WhatChunksCostIsWeighedAgainstWhatTheyHide(double product, double sum, double each, double latency, int chunks) => Assert.Equal(chunks, Chunks(product, sum, each, latency));

    /// <summary>What is computed beside a sum hides it without chunks.</summary>
    [Fact]
    public void WorkBesideTheSumComesFirst()
    {
        Assert.Equal(1, Chunks(4, 4, 0, 0, beside: 4));
        Assert.True(Chunks(4, 4, 0, 0, beside: 1) > 1);
    }

    /// <summary>A link that others hold until the product is done leaves chunks nothing.</summary>
    [Fact]
    public void ALinkThatOthersHoldLeavesNothing() => Assert.Equal(1, Chunks(4, 4, 0, 0, before: 4));
}
