namespace Shardwright.Tests;

/// <summary>Whatever a crash leaves in the folder, the last complete checkpoint is found, and the next save tidies up.</summary>
public sealed class FolderTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly Subject _subject = Subject.Of("Small/Tp2");

    public void Dispose() => _scratch.Dispose();

    private void Save(int step, int keep = 2) => _subject.Run(rank =>
    {
        if (Checkpoint.Exists(_scratch["run"]))
        {
            rank.Load(_scratch["run"]);
        }

        _subject.Steps(rank, step);
        rank.Save(_scratch["run"], new SaveOptions { Keep = keep });
    });

    private string[] Names() => [.. Directory.GetFileSystemEntries(_scratch["run"]).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    [Fact]
    public void AsManyAreKeptAsWereAskedFor()
    {
        for (int step = 1; step <= 4; step++)
        {
            Save(step, keep: 3);
        }

        Assert.Equal(["latest", "step-00000002", "step-00000003", "step-00000004"], Names());
        Save(5, keep: 1);
        Assert.Equal(["latest", "step-00000005"], Names());
        Assert.Contains("Keep is 0", Assert.Throws<RankFailedException>(() => Save(6, keep: 0)).Message, StringComparison.Ordinal);
        Assert.Equal(["latest", "step-00000005"], Names());
    }

    [Fact]
    public void WhatACrashLeavesIsIgnoredAndThenCleanedUp()
    {
        Save(1);
        Save(2);

        // Ended while ranks were writing, while an older one was deleted, and while the pointer was written.
        Directory.CreateDirectory(_scratch["run/step-00000003.partial"]);
        File.WriteAllText(_scratch["run/step-00000003.partial/rank-00000-of-00002.safetensors"], "half");
        Directory.CreateDirectory(_scratch["run/step-00000001.old.partial"]);
        File.WriteAllText(_scratch["run/latest.partial"], "step-0");
        Assert.Equal(2, Checkpoint.Open(_scratch["run"]).Step);
        Save(3);
        Assert.Equal(["latest", "step-00000002", "step-00000003"], Names());

        // Ended between the rename of the folder and the pointer: the one before is the last complete one, and is never touched.
        File.WriteAllText(_scratch["run/latest"], "step-00000002\n");
        Assert.Equal(2, Checkpoint.Open(_scratch["run"]).Step);
        Save(3);
        Assert.Equal(["latest", "step-00000002", "step-00000003"], Names());
        Checkpoint.Open(_scratch["run"]).Verify();
        Assert.Equal(3, Checkpoint.Open(_scratch["run"]).Step);
    }

    [Fact]
    public void AStepMayBeSavedAgain()
    {
        Save(2);
        Save(2);
        Assert.Equal("step-00000002-2\n", File.ReadAllText(_scratch["run/latest"]));
        Save(2);
        Assert.Equal("step-00000002\n", File.ReadAllText(_scratch["run/latest"]));
        Assert.Equal(["latest", "step-00000002", "step-00000002-2"], Names());
        Checkpoint.Open(_scratch["run"]).Verify();
    }

    [Fact]
    public void ARunFromAnEarlierCheckpointLeavesLaterOnes()
    {
        for (int step = 1; step <= 3; step++)
        {
            Save(step, keep: 5);
        }

        _subject.Run(rank =>
        {
            rank.Load(_scratch["run/step-00000001"]);
            _subject.Steps(rank, 2);
            rank.Save(_scratch["run"], new SaveOptions { Keep = 1 });
        });
        Assert.Equal(["latest", "step-00000002", "step-00000003"], Names());
        Assert.Equal(2, Checkpoint.Open(_scratch["run"]).Step);
    }

    [Fact]
    public void APathThatIsNoCheckpointIsNamed()
    {
        string Message(string path) => Assert.Throws<CheckpointException>(() => Checkpoint.Open(path)).Message;
        File.WriteAllText(_scratch["file"], "text");
        Directory.CreateDirectory(_scratch["empty"]);
        Assert.Contains("does not exist: give the folder", Message(_scratch["none"]), StringComparison.Ordinal);
        Assert.Contains("is a file: give the folder", Message(_scratch["file"]), StringComparison.Ordinal);
        Assert.Contains("has no file 'latest'", Message(_scratch["empty"]), StringComparison.Ordinal);
        Assert.Throws<CheckpointException>(() => Checkpoint.Open(""));
        Assert.False(Checkpoint.Exists(_scratch["empty"]));
        Save(1);
        File.WriteAllText(_scratch["run/latest"], "step-00000009\n");
        Assert.Contains("it names 'step-00000009', which is not there. Complete ones in it: step-00000001; give the path", Message(_scratch["run"]), StringComparison.Ordinal);
        File.WriteAllText(_scratch["run/latest"], "../../etc\n");
        Assert.Contains("it names no checkpoint", Message(_scratch["run"]), StringComparison.Ordinal);
        File.WriteAllBytes(_scratch["run/latest"], new byte[1 << 20]);
        Assert.Contains("it names no checkpoint", Message(_scratch["run"]), StringComparison.Ordinal);
        Assert.Equal(1, Checkpoint.Open(_scratch["run/step-00000001"]).Step);
    }
}
