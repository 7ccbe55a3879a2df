using System.Reflection;
using System.Runtime.Loader;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;
using Shardwright.Observability;

namespace Shardwright.Compiler.Tests.Overlap;

/// <summary>Runs the emitted program of each mesh of a model on the clock: the generated text as it is, with sleeps for kernels (<see cref="SleepingKernels"/>), on links with the numbers that the plan has.</summary>
internal sealed class Replay
{
    private readonly Assembly _asEmitted;
    private readonly Assembly _postsLate;
    private readonly Memory.Plans _plans;

    /// <summary>Plans, generates and compiles a model <c>My.Net</c> whose loss takes one tensor.</summary>
    /// <param name="source">Its source, with meshes.</param>
    /// <param name="rows">Rows of the tensor, of the whole batch.</param>
    /// <param name="columns">Columns.</param>
    public Replay(string source, int rows, int columns)
    {
        _plans = Memory.Plans.Of(source);
        string steps = string.Join("\n", _plans.Meshes.Select(mesh => $$"""
                public static (System.IDisposable Rank, System.Action Step) {{mesh}}(RankContext context)
                {
                    var rank = new Net.{{mesh}}.Rank(context, 1);
                    return (rank, () => rank.TrainStep(x, new AdamWSettings(0.1f)));
                }
            """));
        string entry = $$"""
            using Shardwright;
            namespace My;
            public static class Steps
            {
                private static readonly Tensor x = Tensor.Of(new float[{{rows * columns}}], {{rows}}, {{columns}});
            {{steps}}
            }
            """;
        CSharpCompilation compilation = AnalysisTests.CompileAs("My", [MetadataReference.CreateFromFile(typeof(SleepingKernels).Assembly.Location)], AnalysisTests.Head + source);
        (Compilation output, GeneratorRunResult generated) = AnalysisTests.Generate(compilation);
        foreach (string mesh in _plans.Meshes)
        {
            SyntaxTree kernels = generated.GeneratedSources.Single(s => s.HintName.Contains($".{mesh}.", StringComparison.Ordinal) && s.SourceText.ToString().Contains("struct CpuKernels", StringComparison.Ordinal)).SyntaxTree;
            output = output.ReplaceSyntaxTree(kernels, kernels.WithRootAndOptions(SleepingKernels.Rewrite(kernels.GetRoot(), _plans.Program(mesh), _plans.Mesh(mesh).Device), kernels.Options));
        }

        bool pipelined = _plans.Program(_plans.Meshes.First()).Pipeline is not null;
        output = output.AddSyntaxTrees(CSharpSyntaxTree.ParseText(entry, new CSharpParseOptions(LanguageVersion.CSharp12))).WithOptions(((CSharpCompilationOptions)output.Options).WithOptimizationLevel(OptimizationLevel.Release));
        _asEmitted = Load(output);
        if (!pipelined)
        {
            _postsLate = _asEmitted;
            return;
        }

        foreach (SyntaxTree tree in output.SyntaxTrees.Where(t => t.ToString().Contains("PipelineActions.Parse(", StringComparison.Ordinal)).ToList())
        {
            output = output.ReplaceSyntaxTree(tree, CSharpSyntaxTree.ParseText(SleepingKernels.PostLate(tree.ToString()), (CSharpParseOptions)tree.Options));
        }

        _postsLate = Load(output);
    }

    /// <summary>A measured step.</summary>
    /// <param name="Seconds">From the first rank's start to the last one's end.</param>
    /// <param name="Exposed">Of the rank that waits longest: waits for communication that is under way, which are those after all members have started it.</param>
    /// <param name="Hidden">Share of the time for which ranks send, receive and reduce, all together, in which they need not wait.</param>
    /// <param name="Compute">Kernels of the rank that sleeps longest.</param>
    public sealed record Step(double Seconds, double Exposed, double Hidden, double Compute)
    {
        /// <summary>What that rank waits for, the longest first.</summary>
        public string Waits { get; init; } = "";
    }

    public IEnumerable<string> Meshes => _plans.Meshes;

    public RankProgram Program(string mesh) => _plans.Program(mesh);

    /// <summary>Runs steps of all ranks; the first, in which methods are compiled, does not count.</summary>
    /// <param name="mesh">Name of the nested class.</param>
    /// <param name="steps">Steps that count.</param>
    /// <param name="overlap">Whether communication is waited for where the program says; else right where it starts.</param>
    public Step[] Run(string mesh, int steps, bool overlap = true)
    {
        Type outer = (overlap ? _asEmitted : _postsLate).GetType("My.Net", true)!.GetNestedType(mesh)!;
        MethodInfo make = outer.Assembly.GetType("My.Steps", true)!.GetMethod(mesh)!;
        var grid = (Mesh)outer.GetProperty("Mesh")!.GetValue(null)!;
        var trace = new TraceRecorder();
        using var world = World.InProcess(grid, new WorldOptions
        {
            ThreadsPerRank = 1,
            Overlap = overlap,
            Trace = trace,
            Links = _plans.Mesh(mesh).Axes.ToDictionary(a => a.Name, a => new LinkModel(TimeSpan.FromSeconds(a.Link.LatencySeconds), a.Link.BytesPerSecond)),
        });
        using var start = new Barrier(grid.Ranks);
        world.Run(context =>
        {
            (IDisposable rank, Action step) = (ValueTuple<IDisposable, Action>)make.Invoke(null, [context])!;
            using (rank)
            {
                for (int i = 0; i <= steps; i++)
                {
                    start.SignalAndWait(TimeSpan.FromSeconds(30));
                    step();
                }
            }
        });
        return [.. Measured.Of(trace).Skip(1)];
    }

    private static Assembly Load(Compilation compilation)
    {
        using var image = new MemoryStream();
        var result = compilation.Emit(image);
        Assert.True(result.Success, string.Join("\n", result.Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error).Take(5)));
        image.Position = 0;
        return new AssemblyLoadContext(null, isCollectible: true).LoadFromStream(image);
    }

    /// <summary>Reads steps from a trace.</summary>
    private static class Measured
    {
        /// <summary>An operation that a rank has waited for.</summary>
        private sealed record Waited(int Rank, string Operation, string Lane, long Since, long Over, long From, long To);

        public static IEnumerable<Step> Of(TraceRecorder trace)
        {
            List<Waited> all = [.. trace.Ranks.SelectMany(Waits)];

            // Operations of a lane have one order on all its members: the n-th of each are one, which is under way from the last one's start on, and behind the one before.
            var under = new Dictionary<Waited, long>();
            foreach (var lane in all.GroupBy(w => w.Lane))
            {
                List<List<Waited>> members = [.. lane.GroupBy(w => (w.Rank, w.Operation.StartsWith("from ", StringComparison.Ordinal))).Select(m => m.OrderBy(w => w.Since).ToList())];
                for (int n = 0; n < members[0].Count; n++)
                {
                    long booked = members.Max(m => m[n].Since);
                    members.ForEach(m => under[m[n]] = booked);
                }
            }

            int steps = trace.Ranks[0].Entries.Count(e => e.Kind == SpanKind.Step);
            for (int i = 0; i < steps; i++)
            {
                yield return One(trace, i, all, under);
            }
        }

        private static Step One(TraceRecorder trace, int number, List<Waited> all, Dictionary<Waited, long> under)
        {
            TraceEntry[] spans = [.. trace.Ranks.Select(r => r.Entries.Where(e => e.Kind == SpanKind.Step).ElementAt(number))];
            var ranks = trace.Ranks.Select(rank =>
            {
                List<Waited> own = [.. all.Where(w => w.Rank == rank.Rank && w.From >= spans[rank.Rank].Start && w.To <= spans[rank.Rank].End)];
                double communication = 0;
                foreach (var lane in own.GroupBy(w => w.Lane))
                {
                    long free = 0;
                    foreach (Waited w in lane.OrderBy(w => w.Since))
                    {
                        communication += Seconds(Math.Max(0, w.Over - Math.Max(free, under[w])));
                        free = Math.Max(free, w.Over);
                    }
                }

                double Exposed(Waited w) => Seconds(Math.Max(0, w.To - Math.Max(w.From, under[w])));
                var waits = own.GroupBy(w => $"rank {w.Rank} {w.Operation}").Select(g => (g.Key, Seconds: g.Sum(Exposed), Count: g.Count(w => Exposed(w) > 2e-4))).OrderByDescending(g => g.Seconds);
                return (Exposed: own.Sum(Exposed), Communication: communication, Waits: string.Join("; ", waits.Select(w => FormattableString.Invariant($"{w.Key} {1000 * w.Seconds:0.00} in {w.Count}"))));
            }).ToList();
            return new Step(Seconds(spans.Max(s => s.End) - spans.Min(s => s.Start)), ranks.Max(r => r.Exposed), 1 - ranks.Sum(r => r.Exposed) / ranks.Sum(r => r.Communication),
                trace.Ranks.Max(r => r.Entries.Where(e => e.Kind == SpanKind.Kernel && e.Start >= spans[r.Rank].Start && e.End <= spans[r.Rank].End).Sum(e => Seconds(e.End - e.Start))))
            {
                Waits = ranks.MaxBy(r => r.Exposed).Waits,
            };
        }

        /// <summary>A wait is recorded right before what it waited for.</summary>
        private static IEnumerable<Waited> Waits(RankTrace rank)
        {
            for (int i = 1; i < rank.Entries.Count; i++)
            {
                if (rank.Entries[i] is { Kind: SpanKind.Communication } over && rank.Entries[i - 1] is { Kind: SpanKind.Wait } wait)
                {
                    // "pp, to rank 1" on rank 0 and "pp, from rank 0" on rank 1 are one lane.
                    string[] parts = over.Lane.Split(", ");
                    int other = parts.Length > 1 ? int.Parse(parts[1].Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture) : -1;
                    bool sends = parts.Length > 1 && parts[1].StartsWith("to ", StringComparison.Ordinal);
                    string lane = parts.Length == 1 ? over.Lane + " of " + Group(rank, over.Lane) : sends ? $"{parts[0]} {rank.Rank} to {other}" : $"{parts[0]} {other} to {rank.Rank}";
                    yield return new Waited(rank.Rank, parts.Length == 1 ? $"{over.Name} {over.Lane}" : $"{(sends ? "to" : "from")} {other}", lane, over.Start, over.End, wait.Start, wait.End);
                }
            }
        }

        /// <summary>Coordinates off the axes of a group tell its groups apart.</summary>
        private static string Group(RankTrace rank, string axes) => string.Join(", ", rank.Coordinates.Split(", ").Where(c => !axes.Split('+').Contains(c.Split('=')[0])));

        private static double Seconds(long ticks) => ticks / (double)System.Diagnostics.Stopwatch.Frequency;
    }
}
