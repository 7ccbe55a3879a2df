using System.Diagnostics;
using Xunit.Abstractions;

namespace Shardwright.Fuzz.Tests;

/// <summary>Shapes that are legal and unkind: they cost a plan or a diagnostic, never an editor. Timings of the same shapes are in docs/performance.md; here only
/// what would be felt as a hang fails.</summary>
public sealed class HostileTests(ITestOutputHelper report)
{
    public static TheoryData<string> Names => [.. HostileShapes.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task AnUnkindShapeEndsSoon(string shape)
    {
        var watch = Stopwatch.StartNew();
        long before = GC.GetTotalAllocatedBytes();
        Subject.Outcome outcome = await Subject.Run(Subject.Compile(HostileShapes.Source(shape)), whole: true);
        report.WriteLine($"{shape}: {watch.ElapsedMilliseconds} ms, {(GC.GetTotalAllocatedBytes() - before) >> 20} MiB allocated, {outcome.Diagnostics.Length} diagnostics: {string.Join("; ", outcome.Diagnostics.Select(d => d.GetMessage()[..Math.Min(160, d.GetMessage().Length)]))}");
        Assert.Equal("", outcome.Fault);
        bool good = shape is "ops" or "axes" or "names";
        Assert.Equal(good, outcome.Diagnostics.All(d => d.Severity == Microsoft.CodeAnalysis.DiagnosticSeverity.Info));
        Assert.Equal(good, !outcome.Sources.Values.Any(t => t.Contains("there is no valid plan", StringComparison.OrdinalIgnoreCase)));
    }
}
