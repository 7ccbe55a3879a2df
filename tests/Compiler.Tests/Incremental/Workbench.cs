using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Planning;
using Shardwright.Generators;

namespace Shardwright.Compiler.Tests.Incremental;

using Plans = Shardwright.Compiler.Tests.Memory.Plans;

/// <summary>A small project under an incremental driver: files by name, edits, and what each step did afterwards.</summary>
internal sealed class Workbench
{
    private static int s_count;

    /// <summary>A mesh, two layers, a model that holds one of them, a helper whose body extraction reads, and a class that has nothing to do with any of it.</summary>
    public static readonly IReadOnlyDictionary<string, string> Files = new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["Alone.cs"] = """
            using Shardwright;
            using static Shardwright.Ops;
            namespace My;
            [ShardedLayer] public sealed partial class Alone(int n)
            {
                readonly Tensor w = Parameter(n, n);
                public Tensor Forward(Tensor x) => MatMul(x, w);
            }
            """,
        ["Dense.cs"] = """
            using Shardwright;
            using static Shardwright.Ops;
            namespace My;
            [ShardedLayer] public sealed partial class Dense(int n)
            {
                [Split("tp", 1)] readonly Tensor w = Parameter(n, n);
                public Tensor Forward(Tensor x)
                {
                    // A product, and a bump.
                    var y = MatMul(x, w);
                    return Map(y, Functions.Bump);
                }
            }
            """,
        ["Functions.cs"] = """
            using Shardwright;
            namespace My;
            public static class Functions { [Elementwise] public static float Bump(float v) => v * v; }
            """,
        ["Mesh.cs"] = """
            using Shardwright;
            namespace My;
            [DeviceMesh] [MeshAxis("dp", Sizes.Data)] [MeshAxis("tp", 2)] public sealed class Lab;
            """,
        ["Net.cs"] = """
            using Shardwright;
            using static Shardwright.Ops;
            namespace My;
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Dense dense = new(Sizes.Width);
                public Tensor Loss([Shape(8, Sizes.Width)] Tensor x) => Mean(Square(dense.Forward(x)));
            }
            """,
        ["Sizes.cs"] = """
            namespace My;
            public static class Sizes { public const int Data = 2, Width = 4 * Data; }
            """,
        ["User.cs"] = """
            namespace My;
            public sealed class User { public int Number = 1; public int Answer() { return 42; } }
            """,
    };

    private readonly string _assembly;
    private GeneratorDriver _driver;
    private CSharpCompilation _compilation;

    public Workbench(IReadOnlyDictionary<string, string>? files = null)
    {
        // A name of its own, so that nothing is known from another test.
        _assembly = "Bench" + Interlocked.Increment(ref s_count);
        _compilation = AnalysisTests.CompileAs(_assembly, [], (IEnumerable<(string, string)>)[.. (files ?? Files).Select(f => (f.Key, f.Value))]);
        _driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: new CSharpParseOptions(LanguageVersion.CSharp12), driverOptions: new GeneratorDriverOptions(default, trackIncrementalGeneratorSteps: true));
        Run();
    }

    /// <summary>Plans that were made by the last run.</summary>
    public int Planned { get; private set; }

    public CSharpCompilation Compilation => _compilation;

    public GeneratorRunResult Result => _driver.GetRunResult().Results[0];

    public void Clone() => Run(c => c.Clone());

    /// <summary>Replaces text in a file, as an editor does.</summary>
    public void Edit(string file, string before, string after) => Run(c =>
    {
        SyntaxTree tree = c.SyntaxTrees.Single(t => t.FilePath == file);
        SourceText text = tree.GetText();
        int start = text.ToString().IndexOf(before, StringComparison.Ordinal);
        Assert.True(start >= 0, $"'{before}' is not in {file}");
        return c.ReplaceSyntaxTree(tree, tree.WithChangedText(text.WithChanges(new TextChange(new TextSpan(start, before.Length), after))));
    });

    public void AddFile(string file, string text) => Run(c => c.AddSyntaxTrees(CSharpSyntaxTree.ParseText(text, new CSharpParseOptions(LanguageVersion.CSharp12), file)));

    /// <summary>What each output of a step is: the same as before without being made again (Cached), made again and equal (Unchanged), Modified, New or Removed.</summary>
    public string Reasons(string step) => !Result.TrackedSteps.TryGetValue(step, out ImmutableArray<IncrementalGeneratorRunStep> steps) ? "" :
        string.Join(", ", steps.SelectMany(s => s.Outputs).Select(o => Label(o.Value) + o.Reason).OrderBy(t => t, StringComparer.Ordinal));

    /// <summary>Reasons of the generated sources.</summary>
    public string Outputs() => string.Join(", ", Result.TrackedOutputSteps.SelectMany(s => s.Value).SelectMany(s => s.Outputs).Select(o => o.Reason.ToString()).Distinct().OrderBy(r => r, StringComparer.Ordinal));

    private static string Label(object value) => value switch
    {
        LayerPlace place => Short(place.Type),
        LayerSource layer => Short(layer.Type),
        LinkedModel model => Short(model.Source.Type),
        PlannedMesh plan => Short(plan.Model.Source.Type).TrimEnd() + "." + plan.On.NestedName + " ",
        _ => "",
    };

    private static string Short(string type) => type[(type.LastIndexOf('.') + 1)..] + " ";

    private void Run(Func<CSharpCompilation, CSharpCompilation>? edit = null)
    {
        _compilation = edit?.Invoke(_compilation) ?? _compilation;
        int planned = 0;
        void Count(string model) => planned += model.EndsWith(", " + _assembly, StringComparison.Ordinal) ? 1 : 0;
        PlanCache.Shared.Planning += Count;
        try
        {
            _driver = _driver.RunGenerators(_compilation);
        }
        finally
        {
            PlanCache.Shared.Planning -= Count;
        }

        Planned = planned;
        Assert.Null(Result.Exception);
    }
}
