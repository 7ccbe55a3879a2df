using System.Globalization;

namespace Shardwright.Tests;

/// <summary>A process that is killed at any moment goes on where its last complete checkpoint was, and is the run that was never killed.</summary>
public sealed class CrashTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    /// <summary>Moments of the kills: SHARDWRIGHT_KILLS sets another number, SHARDWRIGHT_KILL_SEED others.</summary>
    private static int Setting(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int value) ? value : otherwise;

    [Theory]
    [InlineData("Adam/Dp2")]
    public void AKilledRunGoesOnBitForBit(string name)
    {
        int kills = Setting("SHARDWRIGHT_KILLS", 4);
        var random = new Random(Setting("SHARDWRIGHT_KILL_SEED", 11));
        int steps = 6 * kills + 10;
        string folder = _scratch["run"];
        Subject subject = Subject.Of(name);
        List<(long Loss, long Norm)>? reference = null;
        subject.Run(rank =>
        {
            List<(long, long)> own = subject.Steps(rank, steps);
            reference = rank.Context.Rank == 0 ? own : reference;
            rank.Save(_scratch["whole"]);
        });

        int saved = 0;
        var seen = new HashSet<int>();
        void Hear(string? line)
        {
            string[] words = line?.Split(' ') ?? [];
            switch (words)
            {
                case ["start", string step]:
                    Assert.True(int.Parse(step, CultureInfo.InvariantCulture) >= saved, $"it was saved at step {saved}, and went on from {step}");
                    break;
                case ["loss", string step, string bits]:
                    int number = int.Parse(step, CultureInfo.InvariantCulture);
                    Assert.Equal(reference![number - 1].Loss, long.Parse(bits, CultureInfo.InvariantCulture));
                    seen.Add(number);
                    break;
                case ["saved", string step]:
                    saved = int.Parse(step, CultureInfo.InvariantCulture);
                    break;
            }
        }

        for (int kill = 0; kill < kills; kill++)
        {
            using var child = new Child(name, folder, steps);
            for (int lines = random.Next(10); lines > 0; lines--)
            {
                Hear(child.Line());
            }

            Thread.Sleep(random.Next(3) == 0 ? 0 : random.Next(30));
            child.Kill();
            for (string? line = child.Line(); line is not null; line = child.Line())
            {
                Hear(line.StartsWith("loss", StringComparison.Ordinal) && line.Split(' ').Length < 3 ? null : line);
            }

            // What is there is whole; nothing is there only where nothing had been completed.
            Assert.True(saved == 0 || Checkpoint.Exists(folder));
            if (Checkpoint.Exists(folder))
            {
                Checkpoint checkpoint = Checkpoint.Open(folder);
                checkpoint.Verify();
                Assert.InRange(checkpoint.Step, saved, saved + 1);
            }
        }

        using var last = new Child(name, folder, steps);
        for (string? line = last.Line(); line is not null; line = last.Line())
        {
            Hear(line);
        }

        Assert.True(last.ExitCode() == 0, last.Errors());
        Assert.Equal(steps, saved);
        Assert.Equal(Enumerable.Range(1, steps), seen.Order());
        string step8 = "step-" + steps.ToString("D8", CultureInfo.InvariantCulture);
        ResumeTests.Same(Safetensors.Assemble(_scratch["whole/" + step8]), Safetensors.Assemble(Path.Combine(folder, step8)));
        Assert.Equal(3, Directory.GetFileSystemEntries(folder).Length); // two checkpoints and the pointer: nothing stale
    }
}
