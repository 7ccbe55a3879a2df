using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>A run that was saved and loaded is the run that was never interrupted.</summary>
public sealed class ResumeTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("Adam/One")]
    [InlineData("Adam/OneM2")]
    [InlineData("Adam/Dp2")]
    [InlineData("Adam/Tp2")]
    [InlineData("Adam/Dp2Tp2")]
    [InlineData("Adam/Tq2Dp2Tp2")]
    [InlineData("Adam/Pp2ZbV")]
    [InlineData("Adam/Pp2Dp2Tp2")]
    [InlineData("Adam/Zero1")]
    [InlineData("Adam/PipelineZero1")]
    [InlineData("Adam/Zero2")]
    [InlineData("Adam/Zero3")]
    [InlineData("Adam/PipelineZero3")]
    [InlineData("Momentum/One")]
    [InlineData("Momentum/Tq2Dp2Tp2")]
    [InlineData("Small/One")]
    [InlineData("Small/Tp2")]
    public void ARunOnTheSameMeshGoesOnBitForBit(string name)
    {
        Subject subject = Subject.Of(name);
        var whole = new List<(long, long)>[subject.Mesh.Ranks];
        var resumed = new List<(long, long)>[subject.Mesh.Ranks];
        subject.Run(rank =>
        {
            whole[rank.Context.Rank] = subject.Steps(rank, 9);
            rank.Save(_scratch["whole"]);
        });
        subject.Run(rank =>
        {
            resumed[rank.Context.Rank] = subject.Steps(rank, 4);
            rank.Save(_scratch["parts"]);
        });
        subject.Run(
            rank =>
            {
                rank.Load(_scratch["parts"]);
                Assert.Equal((4, 7UL), (rank.Step, rank.Seed));
                resumed[rank.Context.Rank].AddRange(subject.Steps(rank, 9));
                rank.Save(_scratch["parts"]);
            },
            seed: 99);
        Assert.Equal(whole, resumed);
        Same(Safetensors.Assemble(_scratch["whole/step-00000009"]), Safetensors.Assemble(_scratch["parts/step-00000009"]));
    }

    [Theory]
    [InlineData("Adam/One", "Adam/Dp2Tp2")]
    [InlineData("Adam/Dp2Tp2", "Adam/One")]
    [InlineData("Adam/Dp2", "Adam/Tp2")]
    [InlineData("Adam/Tp2", "Adam/Tq2Dp2Tp2")]
    [InlineData("Adam/Tq2Dp2Tp2", "Adam/Dp2")]
    [InlineData("Adam/Tq2Dp2Tp2", "Adam/Tp2")]
    [InlineData("Adam/Pp2ZbV", "Adam/Dp2Tp2")]
    [InlineData("Adam/Tp2", "Adam/Pp2Dp2Tp2")]
    [InlineData("Adam/Pp2Dp2Tp2", "Adam/Pp2ZbV")]
    [InlineData("Adam/Zero1", "Adam/Tp2")]
    [InlineData("Adam/Pp2ZbV", "Adam/Zero1")]
    [InlineData("Adam/Zero1", "Adam/PipelineZero1")]
    [InlineData("Adam/Zero2", "Adam/Zero3")]
    [InlineData("Adam/Zero3", "Adam/Tq2Dp2Tp2")]
    [InlineData("Adam/Tp2", "Adam/Zero3")]
    [InlineData("Adam/Zero3", "Adam/PipelineZero3")]
    public void ARunGoesOnOnAnotherMesh(string from, string to)
    {
        const int Saved = 5, Steps = 50;
        RunResult reference = Whole(Steps);
        Subject first = Subject.Of(from), second = Subject.Of(to), one = Subject.Of("Adam/One");
        string checkpoint = _scratch["run"], again = _scratch["again"];
        first.Run(rank =>
        {
            first.Steps(rank, Saved);
            rank.Save(checkpoint);
        });

        // Loaded and saved again: every bit is where it was.
        second.Run(rank =>
        {
            rank.Load(checkpoint);
            rank.Save(again);
            rank.ExportWeights(_scratch["weights"]);
        });
        Dictionary<string, float[]> saved = Safetensors.Assemble(Path.Combine(checkpoint, "step-00000005"));
        Same(saved, Safetensors.Assemble(Path.Combine(again, "step-00000005")));
        Same(saved.Where(t => !t.Key.Contains('/')).ToDictionary(), Safetensors.Parse(File.ReadAllBytes(_scratch["weights"])).Tensors.ToDictionary(t => t.Key, t => t.Value.Floats));

        RunResult Resume(Subject subject, int steps) => MeshRun.Run(
            subject.Name, subject.Mesh, steps,
            context =>
            {
                RankBase rank = subject.Make(context, 1);
                rank.Load(checkpoint);
                return rank;
            },
            (rank, _) => subject.Train(rank, rank.Step));
        RunResult expected = Resume(one, 1), actual = Resume(second, Steps - Saved);
        MeshRun.AssertInitial(expected, actual);
        MeshRun.AssertGradients(expected, actual, 1e-5);
        Assert.InRange(Math.Abs(actual.Norms[0] / expected.Norms[0] - 1), 0, 1e-6);
        RunResult rest = reference with { Losses = reference.Losses[Saved..] };
        MeshRun.AssertLosses(rest, actual, 11 - Saved, 1e-6);
        MeshRun.AssertLosses(rest, actual, Steps, 5e-6);
    }

    [Fact]
    public void MomentumIsCarriedToAnotherMesh()
    {
        Subject one = Subject.Of("Momentum/One"), eight = Subject.Of("Momentum/Tq2Dp2Tp2");
        eight.Run(rank =>
        {
            eight.Steps(rank, 3);
            rank.Save(_scratch["run"]);
        });
        one.Run(rank =>
        {
            rank.Load(_scratch["run"]);
            rank.Save(_scratch["again"]);
        });
        Dictionary<string, float[]> saved = Safetensors.Assemble(_scratch["run/step-00000003"]);
        Same(saved, Safetensors.Assemble(_scratch["again/step-00000003"]));
        Assert.Contains(saved, t => t.Key.EndsWith("/velocity", StringComparison.Ordinal) && t.Value.Any(v => v != 0));
    }

    [Theory]
    [InlineData("Adam/Dp2Tp2")]
    [InlineData("Adam/Zero1")]
    [InlineData("Adam/Zero3")]
    public void APieceThatManyRanksHoldIsWrittenOnce(string name)
    {
        Subject subject = Subject.Of(name);
        subject.Run(rank => rank.Save(_scratch["run"]));
        Dictionary<string, float[]> logical = Safetensors.Assemble(_scratch["run/step-00000000"]);
        long[] written = [.. Directory.GetFiles(_scratch["run/step-00000000"], "*.safetensors").Order().Select(f => Safetensors.Parse(File.ReadAllBytes(f)).Tensors.Values.Sum(t => (long)t.Bytes.Length))];
        Assert.Equal(logical.Values.Sum(t => 4L * t.Length), written.Sum());
        Assert.All(written, bytes => Assert.InRange(bytes, written.Sum() / 16, written.Sum() / 2));
        Assert.Equal(3 * subject.Plan().ParameterCount, logical.Values.Sum(t => (long)t.Length));
    }

    [Fact]
    public void ACheckpointSaysWhatItIs()
    {
        Subject subject = Subject.Of("Adam/Dp2");
        subject.Run(rank =>
        {
            subject.Steps(rank, 2);
            rank.Save(_scratch["run"], new SaveOptions { Data = new DataPosition("a \"text\"", "12 bytes", 1L << 40), Notes = new Dictionary<string, string> { ["schedule"] = "cosine\nof 10" } });
        });
        Assert.True(Checkpoint.Exists(_scratch["run"]));
        Checkpoint checkpoint = Checkpoint.Open(_scratch["run"]);
        checkpoint.Verify();
        checkpoint.RequireModel(subject.Plan());
        Assert.Equal(("Shardwright.Tests.AdamModel", "AdamW", "Dp2", 2, 7UL), (checkpoint.Model, checkpoint.Optimizer, checkpoint.Mesh, checkpoint.Step, checkpoint.Seed));
        Assert.Equal([new MeshAxisInfo("dp", 2)], checkpoint.Axes);
        Assert.Equal(new DataPosition("a \"text\"", "12 bytes", 1L << 40), checkpoint.Data);
        Assert.Equal("cosine\nof 10", checkpoint.Notes["schedule"]);
        CheckpointTensor state = Assert.Single(checkpoint.Tensors, t => t.Name == "blocks.2.down/secondMoment");
        Assert.Equal([64, 16], state.Shape);
    }

    internal static RunResult Whole(int steps)
    {
        Subject one = Subject.Of("Adam/One");
        return MeshRun.Run(one.Name, one.Mesh, steps, context => one.Make(context, 7), (rank, i) => one.Train(rank, i));
    }

    internal static void Same(Dictionary<string, float[]> expected, Dictionary<string, float[]> actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        foreach ((string name, float[] values) in expected)
        {
            Assert.True(values.AsSpan().SequenceEqual(actual[name]), $"{name} differs");
        }
    }
}
