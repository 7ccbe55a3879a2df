namespace Shardwright.Tests;

/// <summary>A save that cannot be completed ends the world with the cause, and leaves the checkpoint before it.</summary>
public sealed class FailureTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly Subject _subject = Subject.Of("Adam/Dp2");

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void AFolderThatCannotBeMadeIsNamed()
    {
        File.WriteAllText(_scratch["file"], "");
        Assert.Contains("cannot take checkpoints", _subject.Fails(rank => rank.Save(_scratch["file"])).Message, StringComparison.Ordinal);
        Assert.Contains("cannot take checkpoints", _subject.Fails(rank => rank.Save(_scratch["file/below"])).Message, StringComparison.Ordinal);
        Assert.Contains("Give a folder that can be written", Assert.Throws<CheckpointException>(() => Checkpoint.RequireWritable(_scratch["file"])).Message, StringComparison.Ordinal);
        _subject.Run(rank => rank.Save(_scratch["made/on/the/way"]));
        Assert.True(Checkpoint.Exists(_scratch["made/on/the/way"]));
        Checkpoint.RequireWritable(_scratch["made/on/the/way"]);
        Assert.Equal(["latest", "step-00000000"], Directory.GetFileSystemEntries(_scratch["made/on/the/way"]).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void AnotherModelsFolderIsRefused()
    {
        Subject.Of("Small/One").Run(rank => rank.Save(_scratch["run"]));
        Assert.Contains("holds checkpoints of Shardwright.Tests.SmallModel, and this run trains Shardwright.Tests.AdamModel", _subject.Fails(rank => rank.Save(_scratch["run"])).Message, StringComparison.Ordinal);
        Assert.Equal("Shardwright.Tests.SmallModel", Checkpoint.Open(_scratch["run"]).Model);
    }

    [Fact]
    public void RanksAtDifferentStepsAreNamed()
    {
        Subject sgd = Subject.Of("Small/One");
        sgd.Run(rank =>
        {
            sgd.Steps(rank, 3);
            rank.Save(_scratch["three"]);
        });
        sgd.Run(rank => rank.Save(_scratch["none"]));
        Subject two = Subject.Of("Small/Tp2");
        CheckpointException error = two.Fails(rank => rank.Load(_scratch[rank.Context.Rank == 0 ? "three" : "none"]));
        Assert.Contains("All ranks load the same checkpoint", error.Message, StringComparison.Ordinal);
        error = two.Fails(rank =>
        {
            rank.Load(_scratch["three"]);
            if (rank.Context.Rank == 1)
            {
                SetStep(rank, 4);
            }

            rank.Save(_scratch["apart"]);
        });
        Assert.Contains("All ranks save at the same step", error.Message, StringComparison.Ordinal);
        Assert.False(Checkpoint.Exists(_scratch["apart"]));
    }

    /// <summary>No public way leads to ranks at different steps; the check is for programs that find one.</summary>
    private static void SetStep(Shardwright.Execution.RankBase rank, int step) => typeof(Shardwright.Execution.RankBase).GetProperty("Step")!.SetValue(rank, step);

    [Fact]
    public void AFullDiskLeavesTheCheckpointBefore()
    {
        if (OperatingSystem.IsWindows())
        {
            return; // limits of a process are set by a shell that Windows lacks
        }

        string folder = _scratch["run"];
        _subject.Run(rank =>
        {
            _subject.Steps(rank, 1);
            rank.Save(folder);
        });
        long largest = Directory.GetFiles(Path.Combine(folder, "step-00000001")).Max(f => new FileInfo(f).Length);

        // Files may not grow beyond half of what a rank writes: a write fails as it does on a full disk.
        // (The runtime's own code lies in a file too, unless it is told not to.)
        using var child = new Child("Adam/Dp2", folder, 3, $"trap '' XFSZ; ulimit -f {largest / 2 / 512}; export DOTNET_EnableWriteXorExecute=0;");
        var lines = new List<string>();
        for (string? line = child.Line(); line is not null; line = child.Line())
        {
            lines.Add(line);
        }

        Assert.Equal(1, child.ExitCode());
        string errors = child.Errors();
        Assert.Matches(@"^Rank [01] \(dp=[01]\) failed: '.*rank-0000[01]-of-00002\.safetensors' could not be written: .* The checkpoint before it is untouched\.", errors);
        Assert.Equal(["start 1", lines[1]], lines);
        Checkpoint checkpoint = Checkpoint.Open(folder);
        checkpoint.Verify();
        Assert.Equal(1, checkpoint.Step);
    }
}
