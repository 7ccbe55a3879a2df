using System.Diagnostics;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Generators;
using Xunit.Abstractions;

namespace Shardwright.Fuzz.Tests;

/// <summary>Shapes that are legal and unkind: they cost a plan or a diagnostic, never an editor. Timings of the same shapes are in docs/performance.md.</summary>
[Collection(Alone.Name)]
public sealed class HostileTests(ITestOutputHelper report)
{
    public static TheoryData<string> Names => [.. HostileShapes.Names];

    /// <summary>What the largest legal shapes may cost the generator: processor time and memory, which other programs on the machine do not change. The least
    /// of a few runs counts, since the first ones also compile the generator itself, and busy cores are slow ones. 2,000 ops need about two seconds of a quiet core
    /// (docs/performance.md), so that on a busy one only a multiple of it says that something grew.</summary>
    [Theory]
    [InlineData("ops", 10)]
    [InlineData("axes", 2)]
    [InlineData("names", 2)]
    public void TheGeneratorStaysWithinItsBounds(string shape, double seconds)
    {
        var costs = new List<(double Seconds, long Bytes)>();
        while (costs.Count < 8 && costs.All(c => c.Seconds >= seconds || c.Bytes >= 500_000_000))
        {
            // An assembly name and sizes that nothing is known of: plans and placements are kept by content.
            Compilation compilation = Subject.Compile(HostileShapes.Source(shape, costs.Count)).WithAssemblyName($"{shape}{costs.Count}");
            _ = compilation.GetDiagnostics();
            GeneratorDriver driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()]);
            TimeSpan before = Environment.CpuUsage.TotalTime;
            long bytes = GC.GetAllocatedBytesForCurrentThread();
            driver = driver.RunGenerators(compilation);
            costs.Add(((Environment.CpuUsage.TotalTime - before).TotalSeconds, GC.GetAllocatedBytesForCurrentThread() - bytes));
            report.WriteLine($"{shape}: {costs[^1].Seconds:F2} s of processor, {costs[^1].Bytes / 1e6:F0} MB");
            ImmutableArray<GeneratedSourceResult> sources = driver.GetRunResult().Results[0].GeneratedSources;
            Assert.True(sources.Sum(s => s.SourceText.Length) > 10_000 && !sources.Any(s => s.SourceText.ToString().Contains("there is no valid plan", StringComparison.OrdinalIgnoreCase)));
        }

        Assert.True(costs[^1].Seconds < seconds && costs[^1].Bytes < 500_000_000, string.Join("; ", costs));
    }

    /// <summary>96 layers are one method and an index: what is written does not grow with them.</summary>
    [Fact]
    public void NinetySixLayersAreNoLongerThanTwo()
    {
        Dictionary<string, int> Lines(int layers)
        {
            Compilation compilation = Subject.Compile(("Layers.cs", GptShape.Layers), ("Model.cs", GptShape.Model(layers)));
            GeneratorRunResult result = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()]).RunGenerators(compilation).GetRunResult().Results[0];
            return result.GeneratedSources.ToDictionary(s => s.HintName, s => s.SourceText.Lines.Count);
        }

        Dictionary<string, int> two = Lines(2);
        Assert.Contains(two, file => file.Key.Contains("Stage0", StringComparison.Ordinal) && file.Value > 100);
        Assert.Equal(two, Lines(96));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task AnUnkindShapeEndsSoon(string shape)
    {
        var watch = Stopwatch.StartNew();
        long before = GC.GetTotalAllocatedBytes();
        Subject.Outcome outcome = await Subject.Run(Subject.Compile(HostileShapes.Source(shape)), whole: shape != "ops");
        report.WriteLine($"{shape}: {watch.ElapsedMilliseconds} ms, {(GC.GetTotalAllocatedBytes() - before) >> 20} MiB allocated, {outcome.Diagnostics.Length} diagnostics: {string.Join("; ", outcome.Diagnostics.Select(d => d.GetMessage()[..Math.Min(160, d.GetMessage().Length)]))}");
        Assert.Equal("", outcome.Fault);
        bool good = shape is "ops" or "axes" or "names";
        Assert.Equal(good, outcome.Diagnostics.All(d => d.Severity < DiagnosticSeverity.Error));
        Assert.Equal(good, !outcome.Sources.Values.Any(t => t.Contains("there is no valid plan", StringComparison.OrdinalIgnoreCase)));
    }
}
