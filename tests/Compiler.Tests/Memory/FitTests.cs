using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Whether a plan fits its device is said where the mesh stands, with the numbers and with ways out that are true.</summary>
public sealed class FitTests
{
    private static string Source(long usable, string on = "ShardedOn<Lab2>") => AnalysisTests.Head + $$"""
        [DeviceSpec(MemoryBytes = 1L << 30, UsableBytes = {{usable}}, BandwidthGBs = 100, Fp32TFlops = 1)] public sealed class Small;
        [DeviceMesh(Device = typeof(Small))] [MeshAxis("dp", 2)] public sealed class Lab2;
        [{{on}}] public sealed partial class Net
        {
            readonly LayerStack<Feed> layers = new(4, () => new(64));
            public Tensor Loss([Shape(4096, 64), Split("dp", 0)] Tensor x) => Mean(layers.Forward(x));
        }
        [ShardedLayer] public sealed partial class Feed(int n)
        {
            readonly Tensor up = Parameter(n, 4 * n), down = Parameter(4 * n, n);
            public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
        }
        """;

    /// <summary>What the model takes, planned where it fits.</summary>
    private static long Needed { get; } = Plans.Of(Source(1L << 30)[AnalysisTests.Head.Length..]).Program("OnLab2").ArenaBytes;

    private static Task<ImmutableArray<Diagnostic>> All(long usable) => AnalysisTests.DiagnoseAll(AnalysisTests.Compile(Source(usable)));

    [Fact]
    public async Task WhatDoesNotFitIsAnErrorAtTheMeshWithTheBytesAndTheWaysOut()
    {
        ImmutableArray<Diagnostic> found = await All(Needed - 1);
        Diagnostic diagnostic = Assert.Single(found, d => d.Id != "SW9001");
        Assert.Equal(("SW3001", DiagnosticSeverity.Error), (diagnostic.Id, diagnostic.Severity));
        Assert.Equal("ShardedOn<Lab2>", Source(Needed - 1).Substring(diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.Length));
        string message = diagnostic.GetMessage(CultureInfo.InvariantCulture);
        foreach (string part in new[] { "'Net' on 'Lab2' does not fit: a rank needs", $"({Needed:N0} bytes)", $"({Needed - 1:N0} bytes) that device 'Small' leaves an arena", "Parameters 512 KiB", "Gradients 512 KiB", "OptimizerState 1 MiB", "Activations", "Workspace 2 MiB", "what fits: " })
        {
            Assert.Contains(part, message, StringComparison.Ordinal);
        }

        Assert.Equal(2, Regex.Count(message, @"(Recompute|MicroBatches|Zero) = [\w.]+: [\d.]+ MiB, step [\d.]+ \w+"));
    }

    [Fact]
    public void WhatForwardTakesBeyondTrainingIsSaid()
    {
        PlanResult Plan(long usable) => Plans.Of($$"""
            [DeviceSpec(MemoryBytes = 1L << 30, UsableBytes = {{usable}}, BandwidthGBs = 100, Fp32TFlops = 1)] public sealed class Small;
            [DeviceMesh(Device = typeof(Small))] [MeshAxis("dp", 2)] public sealed class Lab2;
            [ShardedOn<Lab2>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(64, 64);
                public Tensor Loss([Shape(1024, 64), Split("dp", 0)] Tensor x) => Mean(MatMul(x, w));
                public Tensor Forward([Shape(1024, 64), Split("dp", 0)] Tensor x) => MatMul(MatMul(x, w), Transpose(x));
            }
            """).Plan("OnLab2");
        RankProgram fits = Plan(1L << 30).Program!;
        Assert.True(fits.TrainingBytes < fits.ArenaBytes);
        string message = Plan(fits.ArenaBytes - 1).Findings.Single(f => f.Id == "SW3001").Message;
        Assert.Contains($"; training alone needs {Quantity.Bytes(fits.TrainingBytes)}, the rest is for Forward, whose result of a micro-batch is whole on every rank)", message, StringComparison.Ordinal);
        Assert.DoesNotContain("training alone", Plans.Of(Source(Needed - 1)[AnalysisTests.Head.Length..]).Plan("OnLab2").Findings.Single(f => f.Id == "SW3001").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WaysOutAreTrueAndTheShortestStepComesFirst()
    {
        Plans plans = Plans.Of(Source(Needed * 2 / 3)[AnalysisTests.Head.Length..]);
        PlanResult result = plans.Plan("OnLab2");
        Assert.NotNull(result.Program);
        Assert.InRange(result.WaysOut.Length, 2, 12);
        Assert.Equal(result.WaysOut.OrderBy(w => w.StepSeconds).Select(w => w.Change), result.WaysOut.Select(w => w.Change));
        Assert.All(result.WaysOut, way =>
        {
            RankProgram again = plans.Program("OnLab2", _ => way.On);
            Assert.Equal((way.ArenaBytes, way.StepSeconds), (again.ArenaBytes, again.Forecast.StepSeconds));
            Assert.True(again.ArenaBytes <= again.Forecast.UsableBytes);
            Assert.DoesNotContain(plans.Plan("OnLab2", _ => way.On).Findings, f => f.Id == "SW3001");
        });
    }

    [Fact]
    public void TheFewestMicroBatchesThatFitAreProposed()
    {
        Plans plans = Plans.Of(Source(Needed * 2 / 3)[AnalysisTests.Head.Length..]);
        WayOut way = Assert.Single(plans.Plan("OnLab2").WaysOut, w => w.Change.StartsWith("MicroBatches", StringComparison.Ordinal));
        long count = ((Expression.Integer)way.On.MicroBatches).Value;
        RankProgram half = plans.Program("OnLab2", m => m with { MicroBatches = new Expression.Integer(count / 2, -1) });
        Assert.True(half.ArenaBytes > half.Forecast.UsableBytes, $"{count / 2} micro-batches fit too");
    }

    /// <summary>What is not planned because it surely does not fit, would not have: the bound lies below every plan of a changed request.</summary>
    [Fact]
    public void NoChangedRequestTakesLessThanItsBound()
    {
        (Plans Plans, string Mesh)[] models = [(Plans.Of(Source(1L << 30)[AnalysisTests.Head.Length..]), "OnLab2"), .. new[] { "OnSingle", "OnDp2Tp2", "OnPp2Dp2Tp2" }.Select(m => (Plans.TinyGpt, m))];
        int tight = 0, planned = 0;
        foreach ((Plans plans, string mesh) in models)
        {
            ShardedOnDefinition request = null!;
            RankProgram program = plans.Program(mesh, on => request = on);
            MemoryFloor floor = MemoryFloor.Of(program, request);
            foreach (ShardedOnDefinition on in Changes(request, program.MicroBatches))
            {
                int microBatches = (int)((Expression.Integer)on.MicroBatches).Value;
                if (plans.Plan(mesh, _ => on).Program is not { } changed)
                {
                    continue;
                }

                long bound = floor.For(on, microBatches);
                Assert.True(bound <= changed.ArenaBytes, $"{mesh}, {string.Join(" × ", on.Mesh.Axes.Select(a => $"{a.Name} {a.Size}"))}, {on.Recompute}, {on.Zero}, {microBatches} micro-batches: {changed.ArenaBytes:N0} bytes, the bound is {bound:N0}");
                planned++;
                tight += bound > 0.7 * changed.ArenaBytes ? 1 : 0;
            }
        }

        Assert.True(planned > 60, $"{planned} plans");
        Assert.True(tight > planned / 3, $"{tight} of {planned} bounds are of use");
    }

    private static IEnumerable<ShardedOnDefinition> Changes(ShardedOnDefinition request, int microBatches) =>
        from sizes in Splits([.. request.Mesh.Axes.Select(a => a.Size)])
        from recompute in new[] { "None", "Full" }
        from zero in new[] { "None", "OptimizerState", "Parameters" }
        from count in new[] { microBatches, 2 * microBatches }
        select request with
        {
            Mesh = request.Mesh with { Axes = request.Mesh.Axes.Select((a, i) => a with { Size = sizes[i] }).ToEquatable() },
            Recompute = recompute,
            Zero = zero,
            MicroBatches = new Expression.Integer(count, -1),
        };

    /// <summary>The sizes themselves, and each factor of two moved from one axis to another.</summary>
    private static IEnumerable<int[]> Splits(int[] sizes) =>
        [sizes, .. from f in Enumerable.Range(0, sizes.Length) from t in Enumerable.Range(0, sizes.Length) where f != t && sizes[f] % 2 == 0 select sizes.Select((n, i) => i == f ? n / 2 : i == t ? n * 2 : n).ToArray()];

    [Fact]
    public void WhereNothingHelpsTheMessageSaysSo()
    {
        // Parameters, gradients and optimizer state alone are 2 MiB, and two more are scratch.
        PlanResult result = Plans.Of(Source(3 << 20)[AnalysisTests.Head.Length..]).Plan("OnLab2");
        Assert.Empty(result.WaysOut);
        Assert.Contains("it takes more ranks, smaller sizes or a larger device", result.Findings.Single(f => f.Id == "SW3001").Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhatFitsTightlyIsAWarningAndMoreRoomIsNone()
    {
        Diagnostic tight = Assert.Single(await All(Needed * 100 / 91), d => d.Id != "SW9001");
        Assert.Equal(("SW3002", DiagnosticSeverity.Warning), (tight.Id, tight.Severity));
        Assert.Contains("91 % of the", tight.GetMessage(), StringComparison.Ordinal);
        Assert.DoesNotContain(await All(Needed * 100 / 89), d => d.Id != "SW9001");
    }

    [Fact]
    public async Task ThePlanStandsInOneLineOnItsAttribute()
    {
        Diagnostic line = Assert.Single(await All(1 << 29));
        Assert.Equal(("SW9001", DiagnosticSeverity.Info), (line.Id, line.Severity));
        Assert.Matches(@"^'Net' on 'Lab2': 2 ranks, at most [\d.]+ MiB of 512 MiB, step [\d.]+ ms, MFU [\d.]+ % predicted on Small \(on Net\.OnLab2\)$", line.GetMessage(CultureInfo.InvariantCulture));
        Assert.Equal("ShardedOn<Lab2>", Source(1 << 29).Substring(line.Location.SourceSpan.Start, line.Location.SourceSpan.Length));
    }

    [Fact]
    public async Task ThePlanOfAPipelineNamesItsBubble()
    {
        string source = Source(1 << 29, "ShardedOn<Lab2>(MicroBatches = 4)").Replace("MeshAxis(\"dp\", 2)", "MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline), MeshAxis(\"dp\", 2)", StringComparison.Ordinal);
        Diagnostic line = Assert.Single(await AnalysisTests.DiagnoseAll(AnalysisTests.Compile(source)));
        double bubble = double.Parse(Regex.Match(line.GetMessage(CultureInfo.InvariantCulture), @"bubble ([\d.]+) %").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.InRange(bubble, 15, 40); // (P−1)/(M+P−1) is 20 %; hops add to it
    }

    [Fact]
    public async Task ALoweredErrorLeavesTheProgramWhichRefusesToStart()
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Source(Needed - 1));
        Compilation lowered = compilation.WithOptions(compilation.Options.WithSpecificDiagnosticOptions([new("SW3001", ReportDiagnostic.Warn)]));
        Assert.Equal(DiagnosticSeverity.Warning, Assert.Single(await AnalysisTests.Diagnose(lowered)).Severity);
        string rank = AnalysisTests.Generate(compilation).Result.GeneratedSources.Single(s => s.HintName == "My.Net.OnLab2.Rank.g.cs").SourceText.ToString();
        Assert.Contains($", {Needed - 1})", rank, StringComparison.Ordinal);
        Assert.Contains($"base(rank, seed, {Needed}, ", rank, StringComparison.Ordinal);
    }
}
