using System.Globalization;

namespace Shardwright.Fuzz.Tests;

/// <summary>What is written depends on what was written, and on nothing else.</summary>
public sealed class OutputTests
{
    private static readonly (string Path, string Text)[] s_files =
    [
        ("Layers.cs", GptShape.Layers), ("Model.cs", GptShape.Model(4)), ("Parts/Net.cs", Part("readonly Tensor a = Parameter(8, 8, Init.Uniform(-0.25f, 0.125f)); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(Helper(x) + MatMul(x, b) * 0.3333f);")),
        ("Parts/Other.cs", Part("readonly Tensor b = Parameter(8, 8, Init.Normal(0.001f)); Tensor Helper(Tensor x) => MatMul(x, a); public Tensor Forward([Shape(8, 8)] Tensor x) => Helper(x);", "")),
        ("Elsewhere.cs", GptShape.Elsewhere),
    ];

    private static int s_assembly;

    private static string Part(string members, string on = "[ShardedOn<Cluster>, ShardedOn<Small>(MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]") => $$"""
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        {{(on.Length > 0 ? "[DeviceMesh] [MeshAxis(\"tp\", 2)] public sealed class Small;" : "")}}
        {{on}} public sealed partial class INet { {{members}} }
        """;

    /// <summary>All that is written, under an assembly name that nothing is known of: plans and extractions are kept by content, and must be made again here.</summary>
    private static async Task<string> Everything(IEnumerable<(string Path, string Text)> files)
    {
        string assembly = $"Assembly{Interlocked.Increment(ref s_assembly):0000}";
        Subject.Outcome outcome = await Subject.Run(Subject.Compile([.. files]).WithAssemblyName(assembly), whole: false);
        Assert.Equal("", outcome.Fault);
        string all = string.Join("\n", outcome.Sources.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => "== " + s.Key + "\n" + s.Value)) + string.Join("\n", outcome.Diagnostics.Select(d => d.Id + d.GetMessage()).Order(StringComparer.Ordinal));
        return all.Replace(assembly, "Assembly", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("two runs")]
    [InlineData("two folders")]
    [InlineData("two orders")]
    [InlineData("de-DE")]
    [InlineData("tr-TR")]
    [InlineData("ar-SA")]
    public async Task OutputIsByteIdentical(string difference)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
            string first = await Everything(s_files);
            Assert.Contains("My.INet.OnCluster.Stage0.g.cs", first, StringComparison.Ordinal);
            Assert.Contains("0.3333", first, StringComparison.Ordinal);
            if (difference.Contains('-', StringComparison.Ordinal))
            {
                var culture = CultureInfo.GetCultureInfo(difference);
                Assert.True(difference != "de-DE" || culture.NumberFormat.NumberDecimalSeparator == ",", "this machine has no cultures");
                CultureInfo.CurrentCulture = culture;
            }

            IEnumerable<(string Path, string Text)> files = difference switch { "two folders" => s_files.Select(f => ("/another/place/" + f.Path, f.Text)), "two orders" => s_files.Reverse(), _ => s_files };
            Assert.Equal(first, await Everything(files));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
