using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Plain weights, written for other tools and read from them.</summary>
public sealed class WeightsTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void WeightsAreWholeTensorsForAnyReader()
    {
        Subject subject = Subject.Of("Adam/Tq2Dp2Tp2");
        var logical = new Dictionary<string, float[]>();
        subject.Run(rank =>
        {
            subject.Steps(rank, 2);
            rank.Save(_scratch["run"]);
            rank.ExportWeights(_scratch["ranks.safetensors"]);
            lock (logical)
            {
                foreach (ParameterView parameter in rank.Parameters)
                {
                    float[] whole = logical.TryGetValue(parameter.Path, out float[]? found) ? found : logical[parameter.Path] = new float[parameter.LogicalShape.Aggregate(1L, (a, b) => a * b)];
                    for (int i = 0; i < parameter.Value.Length; i++)
                    {
                        whole[parameter.Map[i]] = parameter.Value[i];
                    }
                }
            }
        });
        byte[] file = File.ReadAllBytes(_scratch["ranks.safetensors"]);
        (Dictionary<string, Safetensors.Entry> tensors, _) = Safetensors.Parse(file);
        ResumeTests.Same(logical, tensors.ToDictionary(t => t.Key, t => t.Value.Floats));
        Assert.Equal([64, 16], tensors["blocks.1.down"].Shape);

        // The same bytes from a checkpoint, without a world.
        Checkpoint.Open(_scratch["run"]).ExportWeights(_scratch["checkpoint.safetensors"]);
        Assert.Equal(file, File.ReadAllBytes(_scratch["checkpoint.safetensors"]));
        Assert.Equal(logical["tokens.weight"], SafetensorsFile.Open(_scratch["ranks.safetensors"]).Read("tokens.weight"));

        // And back, on another mesh: parameters are set, all else stays.
        Subject other = Subject.Of("Adam/Tp2");
        other.Run(rank =>
        {
            other.Steps(rank, 1);
            float[] moment = rank.Parameters[0].State("firstMoment").ToArray();
            rank.ImportWeights(_scratch["ranks.safetensors"]);
            Assert.All(rank.Parameters, p => Assert.Equal(Enumerable.Range(0, p.Value.Length).Select(i => logical[p.Path][p.Map[i]]), p.Value.ToArray()));
            Assert.Equal(moment, rank.Parameters[0].State("firstMoment").ToArray());
            Assert.Equal(1, rank.Step);
        });
        Assert.Equal(["checkpoint.safetensors", "ranks.safetensors", "run"], Directory.GetFileSystemEntries(_scratch.Root).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("F32")]
    [InlineData("F16")]
    [InlineData("BF16")]
    [InlineData("F64")]
    public void OtherElementTypesAreConverted(string type)
    {
        float[] values = [.. Enumerable.Range(0, AdamModel.Vocab * 4).Select(i => (i - 60) / 8f)];
        byte[] bytes = type switch
        {
            "F32" => Safetensors.Bytes(values),
            "F16" => [.. values.SelectMany(v => BitConverter.GetBytes((Half)v))],
            "BF16" => [.. values.SelectMany(v => BitConverter.GetBytes(v)[2..])],
            _ => [.. values.SelectMany(v => BitConverter.GetBytes((double)v))],
        };
        File.WriteAllBytes(_scratch["w"], Safetensors.Write([("tokens.weight", type, [AdamModel.Vocab, 4], bytes)]));
        Subject subject = Subject.Of("Small/Tp2");
        subject.Run(rank =>
        {
            rank.ImportWeights(_scratch["w"]);
            ParameterView p = rank.Parameters[0];
            Assert.Equal(Enumerable.Range(0, p.Value.Length).Select(i => values[p.Map[i]]), p.Value.ToArray());
        });
    }

    [Fact]
    public void WeightsOfAnotherModelAreNamed()
    {
        Subject subject = Subject.Of("Small/Tp2");
        string Message(params (string, string, long[], byte[])[] tensors)
        {
            File.WriteAllBytes(_scratch["w"], Safetensors.Write(tensors));
            return subject.Fails(rank =>
            {
                float[] before = rank.Parameters[0].Value.ToArray();
                try
                {
                    rank.ImportWeights(_scratch["w"]);
                }
                finally
                {
                    Assert.Equal(before, rank.Parameters[0].Value.ToArray());
                }
            }).Message;
        }

        Assert.Contains("'tokens.weight' is missing; 'tokens' is unknown to the model", Message(("tokens", "F32", [1], new byte[4])), StringComparison.Ordinal);
        Assert.Contains("has shape [4, 32] and not [32, 4]", Message(("tokens.weight", "F32", [4, 32], new byte[512])), StringComparison.Ordinal);
        Assert.Contains("as I32: only F32", Message(("tokens.weight", "I32", [32, 4], new byte[512])), StringComparison.Ordinal);
        Assert.Contains("cannot be read", subject.Fails(rank => rank.ImportWeights(_scratch["none"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void APlaceThatCannotBeWrittenIsNamed()
    {
        Subject subject = Subject.Of("Small/Tp2");
        Assert.Contains("cannot be written", subject.Fails(rank => rank.ExportWeights(_scratch["none/w"])).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(_scratch["folder"]);
        File.WriteAllText(_scratch["folder/inside"], "");
        Assert.Contains("cannot be written", subject.Fails(rank => rank.ExportWeights(_scratch["folder"])).Message, StringComparison.Ordinal);
        Assert.Contains("no tensor 'x'; it holds tokens.weight", Assert.Throws<CheckpointException>(() =>
        {
            subject.Run(rank => rank.ExportWeights(_scratch["w"]));
            SafetensorsFile.Open(_scratch["w"]).Read("x");
        }).Message, StringComparison.Ordinal);
    }
}
