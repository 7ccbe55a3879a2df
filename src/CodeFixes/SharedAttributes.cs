using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Shardwright.CodeFixes;

/// <summary>Attributes for fields that are declared together (<c>readonly Tensor up = …, down = …;</c>) and share what is written in front of them: where they are to have different ones, each gets a declaration of its own.</summary>
internal sealed class SharedAttributes
{
    private readonly List<(DocumentId Document, FieldDeclarationSyntax Field, VariableDeclaratorSyntax Variable, string Attribute)> _wanted = new();

    /// <summary>Declarations that get attributes.</summary>
    public IEnumerable<(DocumentId, FieldDeclarationSyntax)> Fields => _wanted.Select(w => (w.Document, w.Field)).Distinct();

    /// <summary>Takes an attribute for a field that is declared with others; false where the place is none.</summary>
    /// <param name="document">The document.</param>
    /// <param name="node">The place.</param>
    /// <param name="attribute">The attribute without brackets.</param>
    public bool Take(DocumentId document, SyntaxNode node, string attribute)
    {
        if (node.FirstAncestorOrSelf<VariableDeclaratorSyntax>() is not { Parent: VariableDeclarationSyntax { Variables.Count: > 1, Parent: FieldDeclarationSyntax field } } variable)
        {
            return false;
        }

        _wanted.Add((document, field, variable, attribute));
        return true;
    }

    /// <summary>The declaration with its attributes: one declaration where all fields want the same, else one for each.</summary>
    public TextChange Change(FieldDeclarationSyntax field, SourceText text)
    {
        SeparatedSyntaxList<VariableDeclaratorSyntax> variables = field.Declaration.Variables;
        List<string> before = variables.Select(v => string.Concat(_wanted.Where(w => w.Variable == v).Select(w => "[" + w.Attribute + "] "))).ToList();
        SyntaxToken first = field.GetFirstToken();
        if (before.Distinct().Count() == 1)
        {
            return new TextChange(new TextSpan(first.SpanStart, 0), before[0]);
        }

        // What stands in front of the first field (attributes, modifiers, the type) is repeated for each.
        string front = text.ToString(TextSpan.FromBounds(first.SpanStart, variables[0].SpanStart));
        TextLine line = text.Lines.GetLineFromPosition(first.SpanStart);
        string indent = text.ToString(TextSpan.FromBounds(line.Start, first.SpanStart));
        string between = indent.Trim().Length == 0 ? (line.EndIncludingLineBreak - line.End == 2 ? "\r\n" : "\n") + indent : " ";
        return new TextChange(TextSpan.FromBounds(first.SpanStart, field.Span.End), string.Join(between, variables.Select((v, i) => before[i] + front + v + ";")));
    }
}
