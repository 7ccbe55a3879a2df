using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;

namespace Shardwright.Compiler.Tests.Incremental;

/// <summary>The server of the C# compiler builds a project a second time in one process, with resolvers that throw when they are compared.</summary>
public sealed class CompilerServerTests
{
    private const string Source = AnalysisTests.Head + """
        [ShardedLayer] public sealed partial class Served(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
        """;

    private static readonly Compilation s_project = AnalysisTests.Compile(Source);

    [Fact]
    public void ASecondBuildOfOneProcessIsComparedWithTheFirst()
    {
        Compilation first = Build(), second = Build();
        CompilationLayers known = CompilationLayers.Of(first, default);
        Assert.True(CompilationComparer.Instance.Equals(first, second));
        Assert.Same(known, CompilationLayers.Of(second, default));
    }

    [Fact]
    public void OtherOptionsAreAnotherProject()
    {
        Compilation first = Build(), second = Build();
        CompilationLayers.Of(first, default);
        Assert.False(CompilationComparer.Instance.Equals(first, second.WithOptions(second.Options.WithOverflowChecks(!second.Options.CheckOverflow))));
    }

    private static Compilation Build() => s_project.WithOptions(s_project.Options.WithMetadataReferenceResolver(new Incomparable()));

    /// <summary>Refuses to be compared, as the resolver of the server does.</summary>
    private sealed class Incomparable : MetadataReferenceResolver
    {
        public override bool Equals(object? other) => throw Refusal();

        public override int GetHashCode() => throw Refusal();

        public override ImmutableArray<PortableExecutableReference> ResolveReference(string reference, string? baseFilePath, MetadataReferenceProperties properties) => [];

        private static InvalidOperationException Refusal() => new("a resolver of the compiler's server was compared");
    }
}
