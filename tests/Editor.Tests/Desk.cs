using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Analyzers;
using Shardwright.CodeFixes;
using Shardwright.Generators;

namespace Shardwright.Editor.Tests;

/// <summary>A project as an editor holds it: files, an .editorconfig, diagnostics file by file, fixes through the API of workspaces.</summary>
internal sealed class Desk
{
    public const string Head = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh] [MeshAxis("dp", 2)] [MeshAxis("tp", 2)] public sealed class Lab;

        """;

    private static readonly MetadataReference[] s_references =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal) || Path.GetFileName(p) is "mscorlib.dll" or "netstandard.dll").Select(p => MetadataReference.CreateFromFile(p)),
        MetadataReference.CreateFromFile(typeof(Tensor).Assembly.Location),
    ];

    private static int s_count;

    private Desk(Solution solution) => Solution = solution;

    public Solution Solution { get; }

    public Project Project => Solution.Projects.Single();

    /// <summary>A project of one file after the mesh of <see cref="Head"/>.</summary>
    public static Desk Of(string source, string config = "", string assembly = "") => Of([("Model.cs", source)], config, assembly: assembly);

    /// <summary>A project of some files. Projects of one assembly name share the plans of models that are alike.</summary>
    public static Desk Of(IEnumerable<(string Name, string Text)> files, string config = "", LanguageVersion version = LanguageVersion.CSharp12, NullableContextOptions nullable = NullableContextOptions.Enable, IEnumerable<MetadataReference>? references = null, string assembly = "")
    {
        var workspace = new AdhocWorkspace();
        ProjectId id = ProjectId.CreateNewId();
        Solution solution = workspace.CurrentSolution.AddProject(ProjectInfo.Create(
            id, VersionStamp.Create(), "Desk", assembly.Length > 0 ? assembly : "Desk" + Interlocked.Increment(ref s_count), LanguageNames.CSharp,
            compilationOptions: new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: nullable),
            parseOptions: new CSharpParseOptions(version), metadataReferences: [.. s_references, .. references ?? []]));
        foreach ((string name, string text) in files)
        {
            solution = solution.AddDocument(DocumentId.CreateNewId(id), name, SourceText.From(text), filePath: "/desk/" + name);
        }

        if (config.Length > 0)
        {
            solution = solution.AddAnalyzerConfigDocument(DocumentId.CreateNewId(id), ".editorconfig", SourceText.From("root = true\n[*.cs]\n" + config + "\n"), filePath: "/desk/.editorconfig");
        }

        return new Desk(solution);
    }

    public Desk With(Solution solution) => new(solution);

    /// <summary>Another assembly as its metadata shows it, compiled without the generator.</summary>
    public static MetadataReference Library(string source)
    {
        var compilation = CSharpCompilation.Create("Far", [CSharpSyntaxTree.ParseText(source, new CSharpParseOptions(LanguageVersion.CSharp12))], s_references, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        var stream = new MemoryStream();
        Microsoft.CodeAnalysis.Emit.EmitResult result = compilation.Emit(stream);
        Assert.True(result.Success, string.Join("\n", result.Diagnostics));
        return MetadataReference.CreateFromImage(stream.ToArray());
    }

    public Document Document(string name = "Model.cs") => Project.Documents.Single(d => d.Name == name);

    public string Text(string name = "Model.cs") => Document(name).GetTextAsync().GetAwaiter().GetResult().ToString();

    /// <summary>What an editor shows for one file: our diagnostics from its semantic model alone.</summary>
    public async Task<ImmutableArray<Diagnostic>> Live(string name = "Model.cs")
    {
        Compilation compilation = (await Project.GetCompilationAsync())!;
        SyntaxTree tree = (await Document(name).GetSyntaxTreeAsync())!;
        ImmutableArray<Diagnostic> found = await Analyzers(compilation).GetAnalyzerSemanticDiagnosticsAsync(compilation.GetSemanticModel(tree), null, default);
        return [.. found.Where(d => !d.IsSuppressed).OrderBy(d => d.Location.SourceSpan.Start)];
    }

    /// <summary>What a build shows.</summary>
    public async Task<ImmutableArray<Diagnostic>> Build()
    {
        Compilation compilation = (await Project.GetCompilationAsync())!;
        ImmutableArray<Diagnostic> found = await Analyzers(compilation).GetAnalyzerDiagnosticsAsync();
        return [.. found.Where(d => !d.IsSuppressed).OrderBy(d => d.Location.SourceTree?.FilePath, StringComparer.Ordinal).ThenBy(d => d.Location.SourceSpan.Start)];
    }

    /// <summary>What the generator makes of the project, which is not compiled; it throws nothing.</summary>
    public async Task<IEnumerable<string>> Generated()
    {
        GeneratorDriver driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: (CSharpParseOptions)Project.ParseOptions!);
        GeneratorRunResult result = driver.RunGenerators((await Project.GetCompilationAsync())!).GetRunResult().Results[0];
        Assert.Null(result.Exception);
        return result.GeneratedSources.Select(s => s.SourceText.ToString());
    }

    /// <summary>Errors of the compiler, generated code included.</summary>
    public async Task<ImmutableArray<Diagnostic>> Errors()
    {
        Compilation compilation = (await Project.GetCompilationAsync())!;
        GeneratorDriver driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: (CSharpParseOptions)Project.ParseOptions!);
        driver.RunGeneratorsAndUpdateCompilation(compilation, out Compilation output, out _);
        Assert.Null(driver.RunGenerators(compilation).GetRunResult().Results[0].Exception);
        return [.. output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error)];
    }

    /// <summary>The project with its generated code, built and loaded.</summary>
    public async Task<System.Reflection.Assembly> Load()
    {
        Compilation compilation = (await Project.GetCompilationAsync())!;
        compilation = compilation.WithOptions(compilation.Options.WithOptimizationLevel(OptimizationLevel.Release));
        CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: (CSharpParseOptions)Project.ParseOptions!).RunGeneratorsAndUpdateCompilation(compilation, out Compilation output, out _);
        using var stream = new MemoryStream();
        Microsoft.CodeAnalysis.Emit.EmitResult result = output.Emit(stream);
        Assert.True(result.Success, string.Join("\n", result.Diagnostics));
        return System.Reflection.Assembly.Load(stream.ToArray());
    }

    /// <summary>Fixes that are offered for a diagnostic.</summary>
    public async Task<List<CodeAction>> Fixes(Diagnostic diagnostic)
    {
        var actions = new List<CodeAction>();
        Document document = Solution.GetDocument(diagnostic.Location.SourceTree)!;
        await new FindingsCodeFix().RegisterCodeFixesAsync(new CodeFixContext(document, diagnostic, (action, _) => actions.Add(action), default));
        return actions;
    }

    /// <summary>The project after an action.</summary>
    public async Task<Desk> Apply(CodeAction action)
    {
        ApplyChangesOperation change = (await action.GetOperationsAsync(default)).OfType<ApplyChangesOperation>().Single();
        return new Desk(change.ChangedSolution);
    }

    /// <summary>The project after a fix was applied wherever it is offered.</summary>
    public async Task<Desk> FixAll(string key, FixAllScope scope = FixAllScope.Document)
    {
        var provider = new FindingsCodeFix();
        ImmutableArray<Diagnostic> all = await Build();
        var context = new FixAllContext(Document(), provider, scope, key, provider.FixableDiagnosticIds, new Given(all), default);
        CodeAction action = (await provider.GetFixAllProvider().GetFixAsync(context))!;
        return await Apply(action);
    }

    private CompilationWithAnalyzers Analyzers(Compilation compilation) =>
        compilation.WithAnalyzers([new FindingsAnalyzer()], new CompilationWithAnalyzersOptions(Project.AnalyzerOptions, null, true, false));

    private sealed class Given(ImmutableArray<Diagnostic> all) : FixAllContext.DiagnosticProvider
    {
        public override Task<IEnumerable<Diagnostic>> GetAllDiagnosticsAsync(Project project, CancellationToken cancellationToken) => Task.FromResult<IEnumerable<Diagnostic>>(all);

        public override Task<IEnumerable<Diagnostic>> GetDocumentDiagnosticsAsync(Document document, CancellationToken cancellationToken) =>
            Task.FromResult(all.Where(d => d.Location.SourceTree!.FilePath == document.FilePath));

        public override Task<IEnumerable<Diagnostic>> GetProjectDiagnosticsAsync(Project project, CancellationToken cancellationToken) => Task.FromResult<IEnumerable<Diagnostic>>([]);
    }
}
