using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Whatever happened to a checkpoint, it is named before anything is allocated for it or overwritten by it.</summary>
public sealed class DamageTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly Subject _subject = Subject.Of("Small/Tp2");
    private readonly string _folder;
    private readonly Dictionary<string, byte[]> _files;

    public DamageTests()
    {
        _subject.Run(rank =>
        {
            _subject.Steps(rank, 2);
            rank.Save(_scratch["run"], new SaveOptions { Data = new DataPosition("text", "x", 2), Notes = new Dictionary<string, string> { ["note"] = "y" } });
        });
        _folder = _scratch["run/step-00000002"];
        _files = Directory.GetFiles(_folder).ToDictionary(f => Path.GetFileName(f)!, File.ReadAllBytes);
        Assert.Equal(3, _files.Count);
    }

    public void Dispose() => _scratch.Dispose();

    private void Put(string name, byte[] bytes) => File.WriteAllBytes(Path.Combine(_folder, name), bytes);

    private void Restore() => _files.ToList().ForEach(f => Put(f.Key, f.Value));

    /// <summary>What opening and checking says; null where all is well. Anything but a CheckpointException fails the test.</summary>
    private string? Problem()
    {
        try
        {
            Checkpoint checkpoint = Checkpoint.Open(_scratch["run"]);
            checkpoint.RequireModel(_subject.Plan());
            checkpoint.Verify();
            return null;
        }
        catch (CheckpointException error)
        {
            Assert.False(string.IsNullOrWhiteSpace(error.Message));
            return error.Message;
        }
    }

    /// <summary>A rank that tries to load keeps every bit that it has.</summary>
    private CheckpointException LoadsNothing(Subject subject, string path)
    {
        CheckpointException? cause = null;
        using var world = World.InProcess(subject.Mesh, new WorldOptions { ThreadsPerRank = 1 });
        world.Run(context =>
        {
            using RankBase rank = subject.Make(context, 3);
            float[][] Bits() => [.. rank.Parameters.Select(p => p.Value.ToArray())];
            float[][] before = Bits();
            try
            {
                rank.Load(path);
                Assert.Fail("it loaded");
            }
            catch (CheckpointException error)
            {
                cause = error;
            }
            catch (Exception error) when (error is RankInterruptedException or CollectiveMismatchException)
            {
                // Another rank has found it first.
            }

            Assert.Equal(before, Bits());
            Assert.Equal((0, 3UL), (rank.Step, rank.Seed));
        });
        return Assert.IsType<CheckpointException>(cause);
    }

    [Fact]
    public void EveryFlippedBitIsFound()
    {
        var random = new Random(1);
        foreach ((string name, byte[] bytes) in _files)
        {
            for (int n = 0; n < 700; n++)
            {
                byte[] damaged = [.. bytes];
                int at = random.Next(bytes.Length);
                damaged[at] ^= (byte)(1 << random.Next(8));
                Put(name, damaged);
                Assert.True(Problem() is not null, $"a flip at byte {at} of {name} went unseen");
            }

            Put(name, bytes);
        }

        Assert.Null(Problem());
    }

    [Fact]
    public void EveryTruncationAndEveryTailIsFound()
    {
        var random = new Random(2);
        foreach ((string name, byte[] bytes) in _files)
        {
            foreach (int length in Enumerable.Range(0, 12).Concat(Enumerable.Range(0, 150).Select(_ => random.Next(bytes.Length))).Append(bytes.Length - 1))
            {
                Put(name, bytes[..length]);
                Assert.True(Problem() is not null, $"{name} cut to {length} bytes went unseen");
            }

            Put(name, [.. bytes, .. new byte[1 + random.Next(100)]]);
            Assert.NotNull(Problem());
            Put(name, bytes);
        }

        Assert.Null(Problem());
    }

    [Fact]
    public void AHeaderLongerThanItsFileIsNotAllocated()
    {
        string path = _scratch["weights.safetensors"];
        Checkpoint.Open(_scratch["run"]).ExportWeights(path);
        byte[] bytes = File.ReadAllBytes(path);
        foreach (ulong length in (ulong[])[ulong.MaxValue, 1UL << 62, long.MaxValue, 1UL << 40, 99_999_999UL, (ulong)bytes.Length])
        {
            byte[] damaged = [.. bytes];
            BinaryPrimitives.WriteUInt64LittleEndian(damaged, length);
            File.WriteAllBytes(path, damaged);
            long before = GC.GetAllocatedBytesForCurrentThread();
            CheckpointException error = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
            Assert.Contains("begins with a header length of", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "begins at byte")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}""", 16, "begins at byte")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}""", 12, "ends at byte")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "and the file at")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "offsets [8, 0]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "shape [-2]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""", 0, "damaged")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "takes 12 bytes")]
    [InlineData("""{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}""", 8, "'F31'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "damaged")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "damaged")]
    [InlineData("""{"a":[1]}""", 8, "damaged")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "damaged")]
    [InlineData("""[1]""", 0, "does not begin with '{'")]
    [InlineData("", 0, "does not begin with '{'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[[[[[[[2]]]]]]],"data_offsets":[0,8]}}""", 8, "damaged")]
    public void AHeaderThatContradictsItselfIsNamed(string header, int data, string problem)
    {
        byte[] text = Encoding.UTF8.GetBytes(header), length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        File.WriteAllBytes(_scratch["file"], [.. length, .. text, .. new byte[data]]);
        Assert.Contains(problem, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_scratch["file"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnIndexOfAnyShapeIsReadOrRefused()
    {
        // Sealed with a sound checksum: what a hostile or careless writer could make.
        var random = new Random(3);
        string index = Encoding.UTF8.GetString(_files["index.json"]);
        int read = 0;
        for (int n = 0; n < 1500; n++)
        {
            JsonNode root = JsonNode.Parse(index)!;
            for (int changes = random.Next(3); changes >= 0; changes--)
            {
                Mutate(root, random);
            }

            JsonObject loose = root as JsonObject ?? [];
            loose.Remove("crc32c");
            string text = loose.ToJsonString();
            Put("index.json", Safetensors.Seal(text[..^1] + ",\n\"crc32c\": \"\"\n}\n"));
            long before = GC.GetAllocatedBytesForCurrentThread();
            read += Problem() is null ? 1 : 0;
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 8 << 20);
        }

        Assert.InRange(read, 1, 1000);
    }

    [Fact]
    public void AHeaderOfAnyShapeIsReadOrRefused()
    {
        var random = new Random(4);
        string path = _scratch["weights.safetensors"];
        Checkpoint.Open(_scratch["run"]).ExportWeights(path);
        byte[] bytes = File.ReadAllBytes(path);
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes), read = 0;
        for (int n = 0; n < 1500; n++)
        {
            byte[] damaged;
            if (n % 2 == 0)
            {
                JsonNode root = JsonNode.Parse(bytes.AsSpan(8, length))!;
                Mutate(root, random);
                byte[] header = Encoding.UTF8.GetBytes(root.ToJsonString()), start = new byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(start, header.Length);
                damaged = [.. start, .. header, .. bytes[(8 + length)..]];
            }
            else
            {
                damaged = [.. bytes];
                for (int flips = random.Next(4); flips >= 0; flips--)
                {
                    damaged[random.Next(8 + length)] = (byte)random.Next(256);
                }
            }

            File.WriteAllBytes(path, damaged);
            try
            {
                SafetensorsFile file = SafetensorsFile.Open(path);
                foreach (SafetensorsEntry entry in file.Entries.Where(e => e.DType == "F32"))
                {
                    file.Read(entry.Name);
                }

                read++;
            }
            catch (CheckpointException)
            {
            }
        }

        Assert.InRange(read, 1, 1200);
    }

    private static void Mutate(JsonNode root, Random random)
    {
        var nodes = new List<JsonNode>();
        void Walk(JsonNode? node)
        {
            if (node is null)
            {
                return;
            }

            nodes.Add(node);
            foreach (JsonNode? child in node is JsonObject o ? o.Select(p => p.Value) : node is JsonArray a ? a : [])
            {
                Walk(child);
            }
        }

        Walk(root);
        JsonNode chosen = nodes[random.Next(nodes.Count)];
        object?[] values = [null, 0, -1, 1, 2, 7, 1L << 40, long.MaxValue, long.MinValue, 1.5, "", "F32", "BF16", "a/b", "../x", "ffffffff", true];
        JsonNode? Value() => values[random.Next(values.Length)] is { } value ? JsonValue.Create(value) : null;
        if (chosen is JsonObject map && random.Next(3) > 0)
        {
            switch (random.Next(3))
            {
                case 0 when map.Count > 0:
                    map.Remove(map.ElementAt(random.Next(map.Count)).Key);
                    break;
                case 1 when map.Count > 0:
                    map[map.ElementAt(random.Next(map.Count)).Key] = Value();
                    break;
                default:
                    map["extra"] = Value();
                    break;
            }
        }
        else if (chosen is JsonArray list && random.Next(3) > 0)
        {
            switch (random.Next(3))
            {
                case 0 when list.Count > 0:
                    list.RemoveAt(random.Next(list.Count));
                    break;
                case 1 when list.Count > 0:
                    list.Add(list[random.Next(list.Count)]?.DeepClone());
                    break;
                default:
                    list.Add(Value());
                    break;
            }
        }
        else if (chosen.Parent is JsonObject parent)
        {
            parent[chosen.GetPropertyName()] = Value();
        }
        else if (chosen.Parent is JsonArray array)
        {
            array[chosen.GetElementIndex()] = Value();
        }
    }

    [Fact]
    public void DamageStopsALoadBeforeAnythingIsOverwritten()
    {
        string name = _files.Keys.Order(StringComparer.Ordinal).Last();
        byte[] damaged = [.. _files[name]];
        damaged[^1] ^= 1;
        Put(name, damaged);
        Assert.Contains("is damaged: 'tokens.weight' has the checksum", LoadsNothing(_subject, _scratch["run"]).Message, StringComparison.Ordinal);
        Put(name, _files[name][..^5]);
        Assert.Contains("it is truncated", LoadsNothing(_subject, _scratch["run"]).Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder, name));
        Assert.Contains("is missing", LoadsNothing(_subject, _scratch["run"]).Message, StringComparison.Ordinal);
        Restore();

        // A damage that only one rank's share of the checking meets stops the other one too.
        Put(name, damaged);
        Assert.Contains("is damaged", _subject.Fails(rank => rank.Load(_scratch["run"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnotherModelIsNamedByItsParameters()
    {
        string message = LoadsNothing(Subject.Of("Wider/One"), _scratch["run"]).Message;
        Assert.Contains("does not hold the 3 parameters of Shardwright.Tests.WiderModel", message, StringComparison.Ordinal);
        Assert.Contains("'tokens.weight' has shape [32, 4] and not [32, 6]", message, StringComparison.Ordinal);
        Assert.Contains("'norm.scale' is missing", message, StringComparison.Ordinal);
        Assert.Contains("It was saved by Shardwright.Tests.SmallModel.", message, StringComparison.Ordinal);
        Subject wider = Subject.Of("Wider/One");
        wider.Run(rank => rank.Save(_scratch["wider"]));
        Assert.Contains("'norm.shift' is unknown to the model", LoadsNothing(_subject, _scratch["wider"]).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnotherOptimizerIsNamed() =>
        Assert.Contains("holds the state of Sgd, and Shardwright.Tests.SmallModel on One trains with AdamW", LoadsNothing(Subject.Of("Small/OneAdam"), _scratch["run"]).Message, StringComparison.Ordinal);

    [Fact]
    public void ANewerFormatIsNamed()
    {
        string index = Encoding.UTF8.GetString(_files["index.json"]);
        Put("index.json", Safetensors.Seal(index.Replace("\"format\": 2", "\"format\": 4", StringComparison.Ordinal).Replace("\"oldestReader\": 1", "\"oldestReader\": 3", StringComparison.Ordinal)));
        Assert.Contains("has format 4, which readers of format 3 and newer understand; this runtime reads up to 2: update", Problem(), StringComparison.Ordinal);

        // A newer writer that kept to what this reader knows.
        Put("index.json", Safetensors.Seal(index.Replace("\"format\": 2", "\"format\": 3", StringComparison.Ordinal).Replace("\"step\": 2", "\"novelty\": [1], \"step\": 2", StringComparison.Ordinal)));
        Assert.Null(Problem());
    }

    [Fact]
    public void TheChecksumIsThatOfItsSpecification()
    {
        // RFC 3720, B.4: 32 bytes of zero, and of ones.
        Assert.Equal(0x8A9136AAu, Safetensors.Crc(new byte[32]));
        Assert.Equal(0x62A8AB43u, Safetensors.Crc([.. Enumerable.Repeat((byte)255, 32)]));
        string index = Encoding.UTF8.GetString(_files["index.json"]);
        Assert.Equal(_files["index.json"], Safetensors.Seal(index));
        Assert.Equal(2, int.Parse(Safetensors.Parse(_files["rank-00000-of-00002.safetensors"]).Notes["step"], CultureInfo.InvariantCulture));
    }
}
