using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Incremental;

/// <summary>The cache that generator and analyzers share: by content, bounded, each plan made once, nothing kept of what was cancelled or failed.</summary>
public sealed class PlanCacheTests
{
    /// <summary>The model as it is read anew: equal in content, another object.</summary>
    private static LinkedModel Read(string hidden = "16")
    {
        string source = AnalysisTests.Head + $$"""
            [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedLayer] public sealed partial class Bump(int n) { readonly Tensor b = Parameter(n); public Tensor Forward(Tensor x) => x + b; }
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Dense dense = new({{hidden}});
                readonly Bump bump = new({{hidden}});
                public Tensor Loss([Shape(8, {{hidden}})] Tensor x) => Mean(Square(bump.Forward(dense.Forward(x))));
            }
            """;
        CompilationLayers layers = CompilationLayers.Of(AnalysisTests.Compile(source), default);
        return Linking.Link(layers.Sources.Single(s => s.IsModel), layers.Sources, default);
    }

    private static PlanResult Plan(PlanCache cache, LinkedModel model, int microBatches = 1, CancellationToken cancellation = default) =>
        cache.Plan(model.Model, model.Layers, model.Source.Meshes[0] with { MicroBatches = new Expression.Integer(microBatches, -1) }, cancellation);

    private static PlanCache Counting(int capacity, List<string> made)
    {
        var cache = new PlanCache(capacity);
        cache.Planning += type =>
        {
            lock (made)
            {
                made.Add(type);
            }
        };
        return cache;
    }

    [Fact]
    public void EqualContentIsPlannedOnceInWhateverOrder()
    {
        List<string> made = [];
        PlanCache cache = Counting(8, made);
        LinkedModel model = Read(), again = Read();
        PlanResult first = Plan(cache, model);
        Assert.NotNull(first.Program);
        Assert.Same(first, Plan(cache, again));
        Assert.Same(first, cache.Plan(again.Model, again.Layers.Reverse().ToEquatable(), again.Source.Meshes[0] with { MicroBatches = new Expression.Integer(1, -1) }, default));
        Assert.Single(made);
    }

    [Fact]
    public void OtherContentIsPlannedAgain()
    {
        List<string> made = [];
        PlanCache cache = Counting(8, made);
        PlanResult first = Plan(cache, Read());
        Assert.NotSame(first, Plan(cache, Read(), microBatches: 2));
        Assert.NotSame(first, Plan(cache, Read(hidden: "32")));
        Assert.Equal(3, made.Count);
        Assert.Equal(3, cache.Count);
    }

    [Fact]
    public void TheOneUsedLongestAgoGoesFirst()
    {
        List<string> made = [];
        PlanCache cache = Counting(2, made);
        LinkedModel model = Read();
        PlanResult one = Plan(cache, model, 1), two = Plan(cache, model, 2);
        Assert.Same(one, Plan(cache, model, 1));
        Plan(cache, model, 4);
        Assert.Equal(2, cache.Count);
        Assert.Same(one, Plan(cache, model, 1));
        Assert.Equal(3, made.Count);
        Assert.NotSame(two, Plan(cache, model, 2));
        Assert.Equal(4, made.Count);
    }

    [Fact]
    public void ThreadsThatAskAtOnceWaitForOnePlan()
    {
        List<string> made = [];
        PlanCache cache = Counting(8, made);
        LinkedModel[] models = [.. Enumerable.Range(0, 6).Select(_ => Read())];
        var results = new PlanResult[models.Length];
        Thread[] threads = [.. models.Select((m, i) => new Thread(() => results[i] = Plan(cache, m)))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        Assert.All(results, r => Assert.Same(results[0], r));
        Assert.Single(made);
    }

    [Fact]
    public void WhatWasCancelledIsNotKept()
    {
        List<string> made = [];
        PlanCache cache = Counting(8, made);
        using var source = new CancellationTokenSource();
        void Cancel(string _) => source.Cancel();
        cache.Planning += Cancel;
        Assert.ThrowsAny<OperationCanceledException>(() => Plan(cache, Read(), cancellation: source.Token));
        cache.Planning -= Cancel;
        Assert.NotNull(Plan(cache, Read()).Program);
        Assert.Equal(2, made.Count);
    }

    [Fact]
    public void WhatFailedIsNotKept()
    {
        var cache = new PlanCache(8);
        static void Fail(string _) => throw new InvalidOperationException("a fault");
        cache.Planning += Fail;
        Assert.Equal("a fault", Assert.Throws<InvalidOperationException>(() => Plan(cache, Read())).Message);
        cache.Planning -= Fail;
        Assert.NotNull(Plan(cache, Read()).Program);
    }

    [Fact]
    public void WhoWaitsForAnothersPlanCanBeCancelled()
    {
        var cache = new PlanCache(8);
        using ManualResetEventSlim begun = new(), go = new();
        cache.Planning += _ =>
        {
            begun.Set();
            go.Wait();
        };
        PlanResult? slow = null;
        var planner = new Thread(() => slow = Plan(cache, Read()));
        planner.Start();
        begun.Wait();
        using var source = new CancellationTokenSource(50);
        Assert.ThrowsAny<OperationCanceledException>(() => Plan(cache, Read(), cancellation: source.Token));
        go.Set();
        planner.Join();
        Assert.NotNull(slow?.Program);
    }
}
