using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Compiler.Graph;

namespace Shardwright.CodeFixes;

/// <summary>Changes of attributes, as text.</summary>
internal static class AttributeText
{
    /// <summary>An edit of an attribute that is there.</summary>
    public static TextChange? Change(FixEdit edit, AttributeSyntax attribute, SourceText text) => edit.Kind switch
    {
        EditKind.RemoveAttribute => Remove(attribute, text),
        EditKind.RemoveArgument => RemoveArgument(edit.Name, attribute),
        _ => edit.Name.Length == 0 ? SetPositional(edit.Value, attribute) : SetNamed(edit.Name, edit.Value, attribute),
    };

    /// <summary>Adds an attribute to the declaration at a place: on a line of its own where those that are there have theirs.</summary>
    public static TextChange? Add(string attribute, SyntaxNode node, SourceText text)
    {
        SyntaxNode? declaration = node.AncestorsAndSelf().FirstOrDefault(n => n is ParameterSyntax or MemberDeclarationSyntax);
        if (declaration is null)
        {
            return null;
        }

        SyntaxToken first = declaration.GetFirstToken();
        SyntaxList<AttributeListSyntax> lists = declaration is ParameterSyntax parameter ? parameter.AttributeLists : ((MemberDeclarationSyntax)declaration).AttributeLists;
        bool own = lists.Count > 0
            ? text.Lines.GetLineFromPosition(lists[0].Span.End).LineNumber != text.Lines.GetLineFromPosition(lists[0].GetLastToken().GetNextToken().SpanStart).LineNumber
            : declaration is TypeDeclarationSyntax;
        TextLine line = text.Lines.GetLineFromPosition(first.SpanStart);
        string indent = text.ToString(TextSpan.FromBounds(line.Start, first.SpanStart));
        string end = own && indent.Trim().Length == 0 ? NewLine(text, line) + indent : " ";
        return new TextChange(new TextSpan(first.SpanStart, 0), "[" + attribute + "]" + end);
    }

    /// <summary>Takes the attribute of a name off the declaration at a place, or off its type.</summary>
    public static TextChange? Remove(FixEdit edit, SyntaxNode node, SourceText text)
    {
        SyntaxNode? declaration = node.AncestorsAndSelf().FirstOrDefault(n => n is ParameterSyntax or MemberDeclarationSyntax);
        SyntaxList<AttributeListSyntax> lists = declaration switch { ParameterSyntax parameter => parameter.AttributeLists, MemberDeclarationSyntax member => member.AttributeLists, _ => default };
        AttributeSyntax? attribute = lists.SelectMany(l => l.Attributes).FirstOrDefault(a => a.Name.ToString().Split('.').Last() is { } name && (name == edit.Name || name == edit.Name + "Attribute"));
        return attribute is null ? null : Remove(attribute, text);
    }

    private static TextChange? Remove(AttributeSyntax attribute, SourceText text)
    {
        if (attribute.Parent is not AttributeListSyntax list)
        {
            return null;
        }

        if (list.Attributes.Count == 1)
        {
            return new TextChange(Rewriter.Lines(list, text), "");
        }

        int at = list.Attributes.IndexOf(attribute);
        return new TextChange(at > 0
            ? TextSpan.FromBounds(list.Attributes[at - 1].Span.End, attribute.Span.End)
            : TextSpan.FromBounds(attribute.SpanStart, list.Attributes[1].SpanStart), "");
    }

    private static TextChange SetNamed(string name, string value, AttributeSyntax attribute)
    {
        if (attribute.ArgumentList is not { } list)
        {
            return new TextChange(new TextSpan(attribute.Span.End, 0), $"({name} = {value})");
        }

        if (list.Arguments.FirstOrDefault(a => a.NameEquals?.Name.Identifier.ValueText == name) is { } argument)
        {
            return new TextChange(argument.Expression.Span, value);
        }

        return new TextChange(new TextSpan(list.CloseParenToken.SpanStart, 0), (list.Arguments.Count > 0 ? ", " : "") + name + " = " + value);
    }

    private static TextChange SetPositional(string values, AttributeSyntax attribute)
    {
        if (attribute.ArgumentList is not { } list)
        {
            return new TextChange(new TextSpan(attribute.Span.End, 0), "(" + values + ")");
        }

        List<AttributeArgumentSyntax> positional = list.Arguments.Where(a => a.NameEquals is null).ToList();
        return positional.Count > 0
            ? new TextChange(TextSpan.FromBounds(positional[0].SpanStart, positional[positional.Count - 1].Span.End), values)
            : new TextChange(new TextSpan(list.OpenParenToken.Span.End, 0), values + (list.Arguments.Count > 0 ? ", " : ""));
    }

    private static TextChange? RemoveArgument(string name, AttributeSyntax attribute)
    {
        if (attribute.ArgumentList is not { } list || list.Arguments.FirstOrDefault(a => a.NameEquals?.Name.Identifier.ValueText == name) is not { } argument)
        {
            return null;
        }

        int at = list.Arguments.IndexOf(argument);
        return new TextChange(
            list.Arguments.Count == 1 ? list.Span
            : at > 0 ? TextSpan.FromBounds(list.Arguments[at - 1].Span.End, argument.Span.End)
            : TextSpan.FromBounds(argument.SpanStart, list.Arguments[1].SpanStart), "");
    }

    private static string NewLine(SourceText text, TextLine line) => line.EndIncludingLineBreak - line.End == 2 ? "\r\n" : "\n";
}
