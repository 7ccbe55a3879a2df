using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.MSBuild;
using Microsoft.CodeAnalysis.Text;

namespace Shardwright.Workspace.Tests;

/// <summary>A project file opened by MSBuild, as editors open it: analyzers, fixes and refactorings are those of the assemblies that the project itself names.</summary>
internal sealed class OpenProject : IDisposable
{
    private readonly MSBuildWorkspace _workspace;
    private readonly ProjectId _id;

    private OpenProject(MSBuildWorkspace workspace, ProjectId id)
    {
        _workspace = workspace;
        _id = id;
    }

    public Project Project => _workspace.CurrentSolution.GetProject(_id)!;

    public static async Task<OpenProject> Open(string file)
    {
        var workspace = MSBuildWorkspace.Create(new Dictionary<string, string> { ["Configuration"] = SampleCopy.Configuration });
        workspace.LoadMetadataForReferencedProjects = true;
        Project project = await workspace.OpenProjectAsync(file);
        Assert.True(workspace.Diagnostics.All(d => d.Kind != WorkspaceDiagnosticKind.Failure), string.Join("\n", workspace.Diagnostics));
        Assert.Equal(["Shardwright.Analyzers", "Shardwright.CodeFixes", "Shardwright.Compiler", "Shardwright.Generators"], Ours(project).Select(r => r.Display).Order(StringComparer.Ordinal));
        return new OpenProject(workspace, project.Id);
    }

    public Document Document(string name) => Project.Documents.Single(d => d.Name == name);

    /// <summary>What the editor shows for a file.</summary>
    public async Task<ImmutableArray<Diagnostic>> Live(string name)
    {
        Compilation compilation = (await Project.GetCompilationAsync())!;
        var options = new CompilationWithAnalyzersOptions(Project.AnalyzerOptions, (fault, analyzer, _) => Assert.Fail($"{analyzer} threw {fault}"), concurrentAnalysis: true, logAnalyzerExecutionTime: false);
        ImmutableArray<DiagnosticAnalyzer> analyzers = [.. Ours(Project).SelectMany(r => r.GetAnalyzers(LanguageNames.CSharp))];
        SyntaxTree tree = (await Document(name).GetSyntaxTreeAsync())!;
        ImmutableArray<Diagnostic> found = await new CompilationWithAnalyzers(compilation, analyzers, options).GetAnalyzerSemanticDiagnosticsAsync(compilation.GetSemanticModel(tree), null, default);
        return [.. found.OrderBy(d => d.Location.SourceSpan.Start)];
    }

    /// <summary>Errors of the compiler, generated files included.</summary>
    public async Task<ImmutableArray<Diagnostic>> Errors() => [.. (await Project.GetCompilationAsync())!.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error)];

    /// <summary>Applies the fix of a key at a diagnostic.</summary>
    public async Task Fix(Diagnostic diagnostic, string key)
    {
        var actions = new List<CodeAction>();
        var context = new CodeFixContext(Project.Solution.GetDocument(diagnostic.Location.SourceTree)!, diagnostic, (action, _) => actions.Add(action), default);
        foreach (CodeFixProvider provider in Exported<CodeFixProvider>().Where(p => p.FixableDiagnosticIds.Contains(diagnostic.Id)))
        {
            await provider.RegisterCodeFixesAsync(context);
        }

        await Apply(Assert.Single(actions, a => a.EquivalenceKey == key));
    }

    /// <summary>Applies the fix of a key wherever it is offered in a file.</summary>
    public async Task FixAll(string name, string key)
    {
        ImmutableArray<Diagnostic> all = await Live(name);
        CodeFixProvider provider = Exported<CodeFixProvider>().Single(p => p.FixableDiagnosticIds.Contains(key.Split('/')[0]));
        var context = new FixAllContext(Document(name), provider, FixAllScope.Document, key, provider.FixableDiagnosticIds, new Known(all), default);
        await Apply((await provider.GetFixAllProvider()!.GetFixAsync(context))!);
    }

    /// <summary>Applies the refactoring of a key with the cursor on a text.</summary>
    public async Task Refactor(string name, string at, string key)
    {
        var actions = new List<CodeAction>();
        int start = (await Document(name).GetTextAsync()).ToString().IndexOf(at, StringComparison.Ordinal);
        foreach (CodeRefactoringProvider provider in Exported<CodeRefactoringProvider>())
        {
            await provider.ComputeRefactoringsAsync(new CodeRefactoringContext(Document(name), new TextSpan(start, at.Length), actions.Add, default));
        }

        await Apply(Assert.Single(actions, a => a.EquivalenceKey == key));
    }

    /// <inheritdoc/>
    public void Dispose() => _workspace.Dispose();

    private static IEnumerable<AnalyzerFileReference> Ours(Project project) => project.AnalyzerReferences.OfType<AnalyzerFileReference>().Where(r => Path.GetFileName(r.FullPath).StartsWith("Shardwright.", StringComparison.Ordinal));

    private IEnumerable<T> Exported<T>() => Ours(Project).SelectMany(r => r.GetAssembly().GetExportedTypes()).Where(t => !t.IsAbstract && typeof(T).IsAssignableFrom(t)).Select(t => (T)Activator.CreateInstance(t)!);

    /// <summary>Applied changes are written to the disk: that is what this workspace does.</summary>
    private async Task Apply(CodeAction action)
    {
        ApplyChangesOperation change = (await action.GetOperationsAsync(default)).OfType<ApplyChangesOperation>().Single();
        Assert.True(_workspace.TryApplyChanges(change.ChangedSolution));
    }

    private sealed class Known(ImmutableArray<Diagnostic> all) : FixAllContext.DiagnosticProvider
    {
        public override Task<IEnumerable<Diagnostic>> GetAllDiagnosticsAsync(Project project, CancellationToken cancellationToken) => Task.FromResult<IEnumerable<Diagnostic>>(all);

        public override Task<IEnumerable<Diagnostic>> GetDocumentDiagnosticsAsync(Document document, CancellationToken cancellationToken) => Task.FromResult<IEnumerable<Diagnostic>>(all);

        public override Task<IEnumerable<Diagnostic>> GetProjectDiagnosticsAsync(Project project, CancellationToken cancellationToken) => Task.FromResult<IEnumerable<Diagnostic>>([]);
    }
}
