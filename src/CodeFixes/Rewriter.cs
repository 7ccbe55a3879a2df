using System.Globalization;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Compiler.Graph;

namespace Shardwright.CodeFixes;

/// <summary>Writes edits into the documents of a solution, as changes of text: what is not changed keeps its layout to the last space.</summary>
internal static class Rewriter
{
    /// <summary>The solution with all edits; null where one of them cannot be written.</summary>
    public static async Task<Solution?> Apply(Solution solution, IEnumerable<PlacedEdit> edits, CancellationToken cancellation)
    {
        var changes = new Dictionary<DocumentId, List<TextChange>>();
        var shared = new SharedAttributes();
        foreach (PlacedEdit edit in edits.Distinct())
        {
            if (Find(solution, edit.Place) is not { } document || await document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false) is not { } root
                || edit.Place.SourceSpan.End > root.FullSpan.End)
            {
                return null;
            }

            SyntaxNode node = root.FindNode(edit.Place.SourceSpan, getInnermostNodeForTie: true);
            if (edit.Edit.Kind == EditKind.SetNumber)
            {
                if (await Number(solution, document, node, cancellation).ConfigureAwait(false) is not { } number)
                {
                    return null;
                }

                (document, node) = number;
            }

            if (edit.Edit.Kind == EditKind.AddAttribute && shared.Take(document.Id, node, edit.Edit.Value))
            {
                continue;
            }

            SourceText text = await document.GetTextAsync(cancellation).ConfigureAwait(false);
            if (Change(edit.Edit, node, text) is not { } change)
            {
                return null;
            }

            Add(changes, document.Id, change);
        }

        foreach ((DocumentId id, FieldDeclarationSyntax field) in shared.Fields)
        {
            Add(changes, id, shared.Change(field, await solution.GetDocument(id)!.GetTextAsync(cancellation).ConfigureAwait(false)));
        }

        foreach (KeyValuePair<DocumentId, List<TextChange>> pair in changes)
        {
            SourceText text = await solution.GetDocument(pair.Key)!.GetTextAsync(cancellation).ConfigureAwait(false);
            solution = solution.WithDocumentText(pair.Key, text.WithChanges(pair.Value.OrderBy(c => c.Span.Start)));
        }

        return changes.Count == 0 ? null : solution;
    }

    /// <summary>Two changes of one place become one: of two numbers the larger, of insertions both, else the first.</summary>
    private static void Add(Dictionary<DocumentId, List<TextChange>> changes, DocumentId document, TextChange change)
    {
        if (!changes.TryGetValue(document, out List<TextChange>? known))
        {
            changes[document] = known = new List<TextChange>();
        }

        int at = known.FindIndex(c => c.Span == change.Span || (c.Span.Length > 0 && change.Span.Length > 0 && c.Span.OverlapsWith(change.Span)));
        if (at < 0)
        {
            known.Add(change);
        }
        else if (known[at].Span == change.Span && change.Span.Length == 0 && known[at].NewText != change.NewText)
        {
            known[at] = new TextChange(change.Span, Joined(known[at].NewText ?? "", change.NewText ?? ""));
        }
        else if (known[at].Span == change.Span && long.TryParse(known[at].NewText, NumberStyles.Integer, CultureInfo.InvariantCulture, out long before)
            && long.TryParse(change.NewText, NumberStyles.Integer, CultureInfo.InvariantCulture, out long now) && now > before)
        {
            known[at] = change;
        }
    }

    /// <summary>Two insertions at one place: attributes stand beside each other, arguments of one attribute are parted by a comma.</summary>
    private static string Joined(string first, string second) =>
        first.StartsWith("(", StringComparison.Ordinal) && second.StartsWith("(", StringComparison.Ordinal) ? first.Substring(0, first.Length - 1) + ", " + second.Substring(1)
        : first.StartsWith("[", StringComparison.Ordinal) || second.StartsWith(",", StringComparison.Ordinal) ? first + second
        : first + ", " + second;

    private static Document? Find(Solution solution, Location place)
    {
        if (place.SourceTree is { } tree && solution.GetDocument(tree) is { } same)
        {
            return same;
        }

        DocumentId? id = solution.GetDocumentIdsWithFilePath(place.GetLineSpan().Path).FirstOrDefault();
        return id is null ? null : solution.GetDocument(id);
    }

    /// <summary>The literal that a number comes from: the expression itself, or the initialiser of the constant that it names.</summary>
    private static async Task<(Document, SyntaxNode)?> Number(Solution solution, Document document, SyntaxNode node, CancellationToken cancellation)
    {
        for (int depth = 0; depth < 20; depth++)
        {
            ExpressionSyntax? expression = node.FirstAncestorOrSelf<ExpressionSyntax>();
            if (expression is LiteralExpressionSyntax)
            {
                return (document, expression);
            }

            if (expression is null || await document.GetSemanticModelAsync(cancellation).ConfigureAwait(false) is not { } model
                || model.GetSymbolInfo(expression, cancellation).Symbol is not IFieldSymbol { IsConst: true } constant
                || constant.DeclaringSyntaxReferences.FirstOrDefault() is not { } declared
                || declared.GetSyntax(cancellation) is not VariableDeclaratorSyntax { Initializer.Value: { } value } || solution.GetDocument(value.SyntaxTree) is not { } home)
            {
                return null;
            }

            (document, node) = (home, value);
        }

        return null;
    }

    private static TextChange? Change(FixEdit edit, SyntaxNode node, SourceText text) => edit.Kind switch
    {
        EditKind.AddPartial => node.FirstAncestorOrSelf<TypeDeclarationSyntax>() is { } type ? new TextChange(new TextSpan(type.Keyword.SpanStart, 0), "partial ") : null,
        EditKind.SetNumber => new TextChange(node.Span, edit.Value),
        EditKind.SetString => node.DescendantTokens().Where(t => t.IsKind(SyntaxKind.StringLiteralToken) && t.ValueText == edit.Name).Select(t => (TextChange?)new TextChange(t.Span, SymbolDisplay.FormatLiteral(edit.Value, quote: true))).FirstOrDefault(),
        EditKind.Wrap => Wrap(edit, node),
        EditKind.SetArgument or EditKind.RemoveArgument or EditKind.RemoveAttribute => node.FirstAncestorOrSelf<AttributeSyntax>() is { } attribute ? AttributeText.Change(edit, attribute, text) : null,
        EditKind.AddAttribute => AttributeText.Add(edit.Value, node, text),
        EditKind.RemoveFieldAttribute => AttributeText.Remove(edit, node, text),
        EditKind.RemoveField => RemoveField(node, text),
        _ => null,
    };

    private static TextChange? Wrap(FixEdit edit, SyntaxNode node)
    {
        if (node is ArgumentSyntax argument)
        {
            node = argument.Expression;
        }

        if (node is not ExpressionSyntax or AssignmentExpressionSyntax)
        {
            return null;
        }

        // A call of the same name is taken away instead: two of them are none.
        bool twice = edit.Value.Length == 0 && node is InvocationExpressionSyntax { ArgumentList.Arguments.Count: 1 } call && call.Expression.ToString().Split('.').Last() == edit.Name;
        return new TextChange(node.Span, twice ? ((InvocationExpressionSyntax)node).ArgumentList.Arguments[0].ToString() : edit.Name + "(" + node + edit.Value + ")");
    }

    private static TextChange? RemoveField(SyntaxNode node, SourceText text)
    {
        if (node.FirstAncestorOrSelf<VariableDeclaratorSyntax>() is not { Parent: VariableDeclarationSyntax { Parent: FieldDeclarationSyntax field } declaration } declarator)
        {
            return null;
        }

        if (declaration.Variables.Count > 1)
        {
            int at = declaration.Variables.IndexOf(declarator);
            return new TextChange(at > 0
                ? TextSpan.FromBounds(declaration.Variables[at - 1].Span.End, declarator.Span.End)
                : TextSpan.FromBounds(declarator.SpanStart, declaration.Variables[1].SpanStart), "");
        }

        return new TextChange(Lines(field, text), "");
    }

    /// <summary>A node with its comments: whole lines where it has them to itself.</summary>
    public static TextSpan Lines(SyntaxNode node, SourceText text)
    {
        int start = node.Span.Start;
        foreach (SyntaxTrivia trivia in node.GetLeadingTrivia().Where(t => t.HasStructure || t.IsKind(SyntaxKind.SingleLineCommentTrivia) || t.IsKind(SyntaxKind.MultiLineCommentTrivia)))
        {
            start = Math.Min(start, trivia.FullSpan.Start);
        }

        int end = node.Span.End;
        TextLine first = text.Lines.GetLineFromPosition(start), last = text.Lines.GetLineFromPosition(end);
        bool alone = text.ToString(TextSpan.FromBounds(first.Start, start)).Trim().Length == 0 && text.ToString(TextSpan.FromBounds(end, last.End)).Trim().Length == 0;
        if (alone)
        {
            return TextSpan.FromBounds(first.Start, last.EndIncludingLineBreak);
        }

        while (end < text.Length && text[end] == ' ')
        {
            end++;
        }

        return TextSpan.FromBounds(start, end);
    }
}
