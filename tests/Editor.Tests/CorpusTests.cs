namespace Shardwright.Editor.Tests;

/// <summary>Bad partitions are flagged where they stand, in the file that an editor has open; good models are let be.</summary>
public sealed class CorpusTests
{
    private const string Marks = "namespace My\n{\n[DeviceMesh] [MeshAxis(\"dp\", 2)] [MeshAxis(\"tp\", 2)] public sealed class Lab;\n";

    private static string Whole(string source) => "using Shardwright;\nusing static Shardwright.Ops;\n" + Marks + source + "\n}\n";

    /// <summary>Name of the assembly of a bad partition: its plans are shared by all tests.</summary>
    public static string Assembly(string name) => "Bad" + BadPartitions.All.TakeWhile(b => b.Name != name).Count();

    public static TheoryData<string> Bad => [.. BadPartitions.All.Select(b => b.Name)];

    public static TheoryData<string> Good => [.. GoodModels.All.Select(g => g.Name)];

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task ABadPartitionIsFlaggedOnItsLine(string name)
    {
        (_, string id, string marked) = BadPartitions.All.Single(b => b.Name == name);
        string source = Whole(marked);
        int line = source[..source.IndexOf('«', StringComparison.Ordinal)].Split('\n').Length - 1;
        Desk desk = Desk.Of(source.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal), assembly: Assembly(name));
        ImmutableArray<Diagnostic> found = [.. (await desk.Live()).Where(d => d.Severity >= DiagnosticSeverity.Warning)];
        Assert.True(found.Any(d => d.Id == id), $"wanted {id}; found {string.Join("\n", found)}");
        Assert.Equal([line], found.Where(d => d.Id == id).Select(d => d.Location.GetLineSpan().StartLinePosition.Line).Distinct());

        // One cause, one diagnostic: nothing else is an error.
        Assert.DoesNotContain(found, d => d.Id != id && d.Severity == DiagnosticSeverity.Error);
        Assert.Empty(await desk.Errors());
    }

    [Theory]
    [MemberData(nameof(Good))]
    public async Task AGoodModelHasNoWarning(string name)
    {
        Desk desk = Desk.Of(Whole(GoodModels.All.Single(g => g.Name == name).Source));
        Assert.Empty(await desk.Errors());
        Assert.Empty((await desk.Build()).Where(d => d.Severity >= DiagnosticSeverity.Warning));
    }

    [Fact]
    public void TheCorpusIsLargeEnough()
    {
        Assert.True(BadPartitions.All.Count() >= 40);
        Assert.True(GoodModels.All.Count() >= 20);
        Assert.Equal(BadPartitions.All.Count(), BadPartitions.All.Select(b => b.Name).Distinct().Count());
    }
}
