using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Frontend;

namespace Shardwright.Editor.Tests;

/// <summary>Code that is being typed: nothing throws, and where the compiler reports an error we say nothing of our own.</summary>
public sealed class HalfTypedTests
{
    // Of the models of outsiders a few will do: each is some twenty compilations.
    public static TheoryData<string> Models => [.. GoodModels.All.Select(g => g.Name).Except(OutsideModels.All.Skip(6).Select(g => g.Name))];

    /// <summary>A file that ends somewhere, as while it is written from top to bottom.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public async Task AModelThatEndsAnywhere(string name)
    {
        string source = Source(name);
        int step = Math.Max(1, (source.Length - Desk.Head.Length) / 13);
        for (int length = Desk.Head.Length + step / 2; length < source.Length; length += step)
        {
            await NothingOfOurOwn(source[..length]);
        }
    }

    /// <summary>A statement that breaks off, with all around it in place, as while something is changed.</summary>
    [Theory]
    [MemberData(nameof(Models))]
    public async Task AModelWhoseStatementsBreakOff(string name)
    {
        string source = Source(name);
        int step = Math.Max(1, (source.Length - Desk.Head.Length) / 11);
        for (int from = Desk.Head.Length + step / 2; from < source.Length; from += step)
        {
            int end = source.IndexOf(';', from);
            if (end > from)
            {
                await NothingOfOurOwn(source[..from] + source[end..]);
            }
        }
    }

    /// <summary>A name that is half typed, in every place where a name can be.</summary>
    [Theory]
    [InlineData("an MLP-Mixer")]
    [InlineData("a Llama on a cube, in a pipeline")]
    public async Task AModelWithANameCutShort(string name)
    {
        string source = Source(name);
        SyntaxToken[] names = [.. CSharpSyntaxTree.ParseText(source).GetRoot().DescendantTokens().Where(t => t.IsKind(SyntaxKind.IdentifierToken) && t.Text.Length > 1 && t.SpanStart > Desk.Head.Length)];
        for (int i = 0; i < names.Length; i += names.Length / 25)
        {
            await NothingOfOurOwn(source.Remove(names[i].SpanStart + 1, names[i].Text.Length - 1));
        }
    }

    /// <summary>Any token taken away, cut short or followed by one too many. The compiler says it once, somewhere; that a field is then unused, or another class no layer, is no news.</summary>
    [Theory]
    [InlineData("an MLP-Mixer")]
    [InlineData("llama 3d pipeline")]
    [InlineData("records")]
    [InlineData("bert encoder with documents and dropout")]
    public async Task ATokenThatIsNotWhatItWas(string name)
    {
        string source = Source(name);
        SyntaxToken[] tokens = [.. CSharpSyntaxTree.ParseText(source).GetRoot().DescendantTokens().Where(t => t.Span.Length > 0 && t.SpanStart > Desk.Head.Length)];
        string[] added = ["(", "[", "\"", ", ", "{", ")", ".", "<"];
        for (int i = 0, edit = 0; i < tokens.Length; i += 1 + tokens.Length / 32, edit++)
        {
            SyntaxToken token = tokens[i];
            string text = (edit % 4) switch
            {
                0 => source.Remove(token.SpanStart, token.Span.Length),
                1 => source.Insert(token.SpanStart, "x."),
                2 => source.Insert(token.Span.End, added[edit / 4 % added.Length]),
                _ => source.Remove(token.SpanStart + token.Span.Length / 2, token.Span.Length - token.Span.Length / 2),
            };
            Desk desk = Desk.Of(text);
            ImmutableArray<Diagnostic> found = await desk.Live();
            Assert.True(found.All(d => d.Id is not ("AD0001" or "SW9002")), string.Join("\n", found) + "\n" + text);
            Diagnostic[] errors = [.. (await desk.Project.GetCompilationAsync())!.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error)];
            Assert.True(errors.Length == 0 || found.All(d => !d.Id.StartsWith("SW0", StringComparison.Ordinal)), $"{string.Join("\n", found)}\nwhere the compiler says\n{string.Join("\n", errors.Take(3))}\n\n{text}");
        }
    }

    private static string Source(string name) => Desk.Head + GoodModels.All.Single(g => g.Name == name).Source;

    private static async Task NothingOfOurOwn(string source)
    {
        Desk desk = Desk.Of(source);
        ImmutableArray<Diagnostic> found = await desk.Live();
        Assert.True(found.All(d => d.Id is not ("AD0001" or "SW9002")), string.Join("\n", found) + "\n" + source);

        Assert.DoesNotContain(await desk.Generated(), t => t.Contains("the compiler failed", StringComparison.Ordinal));
        Compilation compilation = (await desk.Project.GetCompilationAsync())!;
        SyntaxTree tree = (await desk.Document().GetSyntaxTreeAsync())!;
        Diagnostic[] syntax = [.. tree.GetDiagnostics()], errors = [.. syntax.Concat(compilation.GetSemanticModel(tree).GetDeclarationDiagnostics()).Concat(compilation.GetSemanticModel(tree).GetMethodBodyDiagnostics()).Where(d => d.Severity == DiagnosticSeverity.Error)];
        foreach (Diagnostic own in found.Where(d => d.Severity >= DiagnosticSeverity.Warning))
        {
            SyntaxNode node = tree.GetRoot().FindNode(own.Location.SourceSpan, getInnermostNodeForTie: true);
            SyntaxNode place = node.FirstAncestorOrSelf<MemberDeclarationSyntax>() ?? node;

            // At the name or the attributes of a type: what is wrong in one of its members is no reason to be silent there, what is not written to its end is.
            Diagnostic? theirs = errors.FirstOrDefault(e => e.Location.SourceSpan.IntersectsWith(place is BaseTypeDeclarationSyntax && !syntax.Contains(e) ? node.Span : place.Span));
            Assert.True(theirs is null, $"{own}\nwhere the compiler says\n{theirs}\n\n{source}");
        }
    }
}
