using System.Globalization;

namespace Shardwright.Tests;

/// <summary>What the format can say beyond what is written today: flat ranges of a box, several of them in one file, and one tensor kept whole by two ranks.</summary>
public sealed class PieceTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly float[] _values = [.. Enumerable.Range(0, AdamModel.Vocab * 4).Select(i => i * 0.5f + 1)];

    public void Dispose() => _scratch.Dispose();

    private sealed record Part(int File, long[] Start, long[] Local, long From, long Count);

    /// <summary>Writes a checkpoint of the small model by hand.</summary>
    private string Write(params Part[] parts)
    {
        string folder = _scratch["hand"];
        Directory.CreateDirectory(folder);
        var pieces = new List<string>();
        var files = new List<string>();
        var contents = parts.Select((p, i) => (Part: p, Name: "part" + i, Bytes: Safetensors.Bytes(Enumerable.Range((int)p.From, (int)p.Count).Select(n =>
            _values[(p.Start[0] + n / p.Local[1]) * 4 + p.Start[1] + n % p.Local[1]])))).ToList();
        for (int i = 0; i <= parts.Max(p => p.File); i++)
        {
            byte[] file = Safetensors.Write(contents.Where(c => c.Part.File == i).Select(c => (c.Name, "F32", new[] { c.Part.Count }, c.Bytes)));
            File.WriteAllBytes(Path.Combine(folder, $"file{i}"), file);
            int header = 8 + (int)BitConverter.ToInt64(file);
            files.Add($"{{\"name\": \"file{i}\", \"bytes\": {file.Length}, \"headerCrc32c\": \"{Safetensors.Crc(file.AsSpan(0, header)):x8}\"}}");
        }

        foreach (var c in contents)
        {
            pieces.Add($"{{\"file\": {c.Part.File}, \"name\": \"{c.Name}\", \"start\": [{string.Join(",", c.Part.Start)}], \"local\": [{string.Join(",", c.Part.Local)}], \"range\": [{c.Part.From}, {c.Part.Count}], \"crc32c\": \"{Safetensors.Crc(c.Bytes):x8}\"}}");
        }

        string index = string.Create(CultureInfo.InvariantCulture, $$"""
            {"format": 1, "oldestReader": 1, "model": "Shardwright.Tests.SmallModel", "optimizer": "Sgd", "mesh": "Hand", "axes": [], "step": 4, "seed": "18446744073709551615",
            "data": null, "notes": {}, "files": [{{string.Join(", ", files)}}],
            "tensors": [{"name": "tokens.weight", "dtype": "F32", "logical": [32, 4], "pieces": [{{string.Join(", ", pieces)}}]}]
            """);
        File.WriteAllBytes(Path.Combine(folder, "index.json"), Safetensors.Seal(index + ",\n\"crc32c\": \"\"\n}\n"));
        return folder;
    }

    private void Loads(string folder)
    {
        foreach (string name in new[] { "Small/One", "Small/Tp2" })
        {
            Subject.Of(name).Run(rank =>
            {
                rank.Load(folder);
                Assert.Equal(Enumerable.Range(0, rank.Parameters[0].Value.Length).Select(i => _values[rank.Parameters[0].Map[i]]), rank.Parameters[0].Value.ToArray());
                Assert.Equal((4, ulong.MaxValue), (rank.Step, rank.Seed));
            });
        }
    }

    [Fact]
    public void RangesOfABoxAreLoaded()
    {
        Loads(Write(new(0, [0, 0], [32, 4], 0, 1), new(1, [0, 0], [32, 4], 1, 42), new(0, [0, 0], [32, 4], 43, 85)));

        // Columns first, each cut in unequal ranges, in any order.
        Loads(Write(new(1, [0, 1], [32, 3], 50, 46), new(0, [0, 0], [32, 1], 0, 32), new(0, [0, 1], [32, 3], 0, 50)));
    }

    [Fact]
    public void RandomCutsAreLoaded()
    {
        var random = new Random(5);
        for (int n = 0; n < 25; n++)
        {
            var parts = new List<Part>();
            int row = random.Next(1, 32), column = random.Next(1, 4);
            foreach ((long[] start, long[] local) in new[] { ((long[])[0, 0], (long[])[row, 4]), ([row, 0], [32 - row, column]), ([row, column], [32 - row, 4 - column]) })
            {
                long box = local[0] * local[1], from = 0;
                while (from < box)
                {
                    long count = random.Next(1, (int)Math.Min(box - from, 40) + 1);
                    parts.Add(new Part(random.Next(3), start, local, from, count));
                    from += count;
                }
            }

            Loads(Write([.. parts.OrderBy(_ => random.Next())]));
        }
    }

    [Theory]
    [InlineData(0, 64, 63, 65, "overlap at element 63")]
    [InlineData(0, 63, 64, 64, "leave a gap at element 63")]
    [InlineData(0, 64, 64, 63, "leave a gap at element 127")]
    public void RangesThatAreNotTheWholeAreNamed(int from0, int count0, int from1, int count1, string problem) =>
        Assert.Contains(problem, Assert.Throws<CheckpointException>(() => Checkpoint.Open(Write(new(0, [0, 0], [32, 4], from0, count0), new(0, [0, 0], [32, 4], from1, count1)))).Message, StringComparison.Ordinal);

    [Fact]
    public void BoxesThatAreNotTheWholeAreNamed()
    {
        string Message(params Part[] parts) => Assert.Throws<CheckpointException>(() => Checkpoint.Open(Write(parts))).Message;
        Assert.Contains("leave out 32 of 128 elements", Message(new(0, [0, 0], [32, 2], 0, 64), new(0, [0, 2], [32, 1], 0, 32)), StringComparison.Ordinal);
        Assert.Contains("from [0, 0] and [0, 1] overlap", Message(new(0, [0, 0], [32, 2], 0, 64), new(0, [0, 1], [32, 3], 0, 96)), StringComparison.Ordinal);
    }
}
