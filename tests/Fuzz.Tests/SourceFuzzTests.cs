using System.Collections.Concurrent;
using System.Globalization;
using Shardwright.Compiler.Graph.Definitions;
using Xunit.Abstractions;

namespace Shardwright.Fuzz.Tests;

/// <summary>Mutated models and graphs: nothing throws, nothing hangs, and what compiles either has a program that compiles or an error that says why not.
/// SHARDWRIGHT_FUZZ_CASES sets their number, SHARDWRIGHT_FUZZ_SEED where they start.</summary>
public sealed class SourceFuzzTests(ITestOutputHelper report)
{
    private static int Number(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int number) ? number : otherwise;

    private static readonly int s_cases = Number("SHARDWRIGHT_FUZZ_CASES", 1000), s_seed = Number("SHARDWRIGHT_FUZZ_SEED", 0);

    [Fact]
    public async Task TheCorpusItselfIsGood()
    {
        foreach (string source in Corpus.All)
        {
            Subject.Outcome outcome = await Subject.Run(Subject.Compile(source));
            Assert.Equal("", outcome.Fault);
            Assert.DoesNotContain(outcome.Diagnostics, d => d.Severity > Microsoft.CodeAnalysis.DiagnosticSeverity.Info);
            Assert.Contains(outcome.Sources.Keys, k => k.EndsWith(".Stage0.g.cs", StringComparison.Ordinal));
        }
    }

    [Fact]
    public Task MutatedModels() => Fuzz(s_cases * 3 / 4, seed => new Mutator(seed).Source(Corpus.All[seed % Corpus.All.Length]), (seed, source) => Subject.Run(Subject.Compile(source), whole: seed % 8 == 0));

    [Fact]
    public async Task MutatedGraphs()
    {
        (string dense, string twice) = await GraphTexts();
        await Fuzz(s_cases / 4, seed => new Mutator(seed).Graph(seed % 2 == 0 ? dense : twice, seed % 2 == 0 ? twice : dense), async (seed, text) =>
        {
            DefinitionText.Read(text);
            return await Subject.Run(Subject.Compile(User, Subject.Compile(Library(text, dense), assembly: "Far").ToMetadataReference()), whole: seed % 8 == 0);
        });
    }

    private const string User = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh] [MeshAxis("dp", 2)] [MeshAxis("tp", 2)] public sealed class Lab;
        [ShardedOn<Lab>] public sealed partial class Net
        {
            readonly Far.Twice layer = new(8);
            public Tensor Loss([Shape(4, 8), Split("dp", 0)] Tensor x) => Mean(layer.Forward(x));
        }
        """;

    private const string Layers = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace Far;
        [ShardedLayer] public sealed partial class Dense(int from, int to)
        {
            [Split("tp", 1)] readonly Tensor weight = Parameter(from, to);
            public Tensor Forward(Tensor x) => Map(MatMul(x, weight), Bump) * 2f;
            [Elementwise] static float Bump(float v) => v > 0 ? v : 0.1f * v;
        }
        [ShardedLayer] public sealed partial class Twice(int width)
        {
            readonly Dense first = new(width, 2 * width);
            readonly LayerStack<Dense> rest = new(2, () => new Dense(2 * width, 2 * width));
            public Tensor Forward(Tensor x)
            {
                for (int i = 0; i < 1; i++) { x = first.Forward(x); }
                return rest.Forward(x);
            }
        }
        """;

    private static async Task<(string Dense, string Twice)> GraphTexts()
    {
        Subject.Outcome library = await Subject.Run(Subject.Compile(Layers, assembly: "Far"));
        Assert.Equal("", library.Fault);
        string Text(string file) => System.Text.RegularExpressions.Regex.Unescape(library.Sources[file].Split("ShardwrightGraph(\"")[1].Split("\")]")[0]);
        return (Text("Far.Dense.g.cs"), Text("Far.Twice.g.cs"));
    }

    /// <summary>An assembly as its metadata shows it: layers with graphs, without the generator.</summary>
    private static string Library(string twice, string dense) => $$"""
        using Shardwright;
        namespace Far;
        [ShardedLayer, ShardwrightGraph({{Microsoft.CodeAnalysis.CSharp.SymbolDisplay.FormatLiteral(dense, true)}})] public sealed class Dense { public Dense(int from, int to) { } public Tensor Forward(Tensor x) => x; }
        [ShardedLayer, ShardwrightGraph({{Microsoft.CodeAnalysis.CSharp.SymbolDisplay.FormatLiteral(twice, true)}})] public sealed class Twice { public Twice(int width) { } public Tensor Forward(Tensor x) => x; }
        """;

    private async Task Fuzz(int cases, Func<int, string> make, Func<int, string, Task<Subject.Outcome>> run)
    {
        var faults = new ConcurrentBag<(int Seed, string Fault, string Text)>();
        var times = new ConcurrentBag<(TimeSpan Time, int Seed)>();
        int refused = 0, planned = 0;
        await Parallel.ForEachAsync(Enumerable.Range(s_seed, cases), new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, async (seed, _) =>
        {
            string text = make(seed);
            Subject.Outcome outcome = await run(seed, text);
            times.Add((outcome.Elapsed, seed));
            Interlocked.Add(ref refused, outcome.Diagnostics.Any() ? 1 : 0);
            Interlocked.Add(ref planned, outcome.Sources.Keys.Any(k => k.EndsWith(".Stage0.g.cs", StringComparison.Ordinal)) ? 1 : 0);
            if (outcome.Fault.Length > 0)
            {
                faults.Add((seed, outcome.Fault, text));
            }
        });
        (TimeSpan longest, int slow) = times.Max();
        report.WriteLine($"{cases} cases from seed {s_seed}: {planned} with a plan, {refused} with diagnostics; slowest {longest.TotalMilliseconds:F0} ms (seed {slow}), median {times.Select(t => t.Time).Order().ElementAt(cases / 2).TotalMilliseconds:F0} ms");
        Assert.True(faults.IsEmpty, $"{faults.Count} of {cases} cases at fault:\n" + string.Join("\n\n", faults.GroupBy(f => f.Fault.Split('\n')[0]).Take(12).Select(g => g.MinBy(f => f.Seed)).Select(f => $"seed {f.Seed}: {f.Fault}\n--- input ---\n{f.Text}")));
        // Mutations that only break the syntax would test little.
        Assert.True(planned > cases / 50 && refused > cases / 50, $"only {planned} cases had a plan and {refused} diagnostics");
    }
}
