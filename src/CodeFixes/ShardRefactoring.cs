using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.CodeFixes;

/// <summary>SW1009: shard this layer, or this model, on a mesh. The search runs when it is asked for, and what it finds is written as attributes, in every file that they belong to.</summary>
[ExportCodeRefactoringProvider(LanguageNames.CSharp, Name = nameof(ShardRefactoring))]
[Shared]
public sealed class ShardRefactoring : CodeRefactoringProvider
{
    /// <inheritdoc/>
    public override async Task ComputeRefactoringsAsync(CodeRefactoringContext context)
    {
        SyntaxNode? root = await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false);
        if (root?.FindNode(context.Span).FirstAncestorOrSelf<TypeDeclarationSyntax>() is not { AttributeLists.Count: > 0 } declaration || context.Span.Start > declaration.OpenBraceToken.SpanStart
            || await context.Document.Project.GetCompilationAsync(context.CancellationToken).ConfigureAwait(false) is not { } compilation
            || compilation.GetSemanticModel(declaration.SyntaxTree).GetDeclaredSymbol(declaration, context.CancellationToken) is not INamedTypeSymbol type)
        {
            return;
        }

        CompilationLayers layers = CompilationLayers.Of(compilation, context.CancellationToken);
        if (layers.Find(Names.FullName(type)) is not { } here)
        {
            return;
        }

        foreach (LayerSource source in layers.Sources.Where(s => s.IsModel))
        {
            LinkedModel model = Linking.Link(source, layers.Sources, context.CancellationToken);
            bool whole = source.Type == here.Layer.Type;
            if (!model.IsSound || (!whole && model.Layers.All(l => l.Type != here.Definition.Type)))
            {
                continue;
            }

            foreach (ShardedOnDefinition on in source.Meshes.Where(m => m.Mesh.Axes.Any(a => a.Size > 1 && a.Role != "Pipeline")))
            {
                string what = whole ? $"'{source.Definition.ShortName}'" : $"'{here.Definition.ShortName}' of '{source.Definition.ShortName}'";
                context.RegisterRefactoring(CodeAction.Create(
                    $"Shard {what} on '{on.Mesh.ShortName}'", token => Shard(context.Document.Project, compilation, layers, model, on, whole ? null : here.Definition.Type, token),
                    $"SW1009/{source.Definition.ShortName}/{on.NestedName}{(whole ? "" : "/layer")}"));
            }
        }
    }

    private static async Task<Solution> Shard(Project project, Compilation compilation, CompilationLayers layers, LinkedModel model, ShardedOnDefinition on, string? layer, CancellationToken cancellation)
    {
        bool MayEdit(string type) => layer is null ? layers.Find(type.Split(',')[0])?.Definition.Type == type : type == layer;
        PlacementChoice? choice = PlacementSearch.Find(model.Model, model.Layers, on, MayEdit, cancellation);
        var edits = new List<PlacedEdit>();
        foreach (Compiler.Graph.FixEdit edit in choice?.Edits ?? default)
        {
            int hash = edit.Place.LastIndexOf('#');
            if (int.TryParse(edit.Place.Substring(hash + 1), out int site) && layers.Find(edit.Place.Split(',')[0]) is { } extraction && site < extraction.Sites.Count
                && extraction.Sites[site]?.Locate(compilation, cancellation) is { } place)
            {
                edits.Add(new PlacedEdit(edit, place));
            }
        }

        return await Rewriter.Apply(project.Solution, edits, cancellation).ConfigureAwait(false) ?? project.Solution;
    }
}
