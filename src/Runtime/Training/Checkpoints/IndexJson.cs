using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Shardwright.Training;

/// <summary>The index as JSON. Its last property is a checksum of all bytes before it.</summary>
internal static class IndexJson
{
    private const string Trailer = ",\n\"crc32c\": \"", End = "\"\n}\n";

    /// <summary>Writes an index.</summary>
    public static byte[] Write(CheckpointIndex index)
    {
        var text = new StringBuilder();
        CultureInfo c = CultureInfo.InvariantCulture;
        text.Append(c, $"{{\n\"format\": {CheckpointIndex.Format},\n\"oldestReader\": {CheckpointIndex.OldestReader},\n");
        text.Append(c, $"\"model\": {Quote(index.Model)},\n\"optimizer\": {Quote(index.Optimizer)},\n\"mesh\": {Quote(index.Mesh)},\n");
        text.Append(c, $"\"axes\": [{string.Join(", ", index.Axes.Select(a => $"{{\"name\": {Quote(a.Name)}, \"size\": {a.Size}}}"))}],\n");
        text.Append(c, $"\"step\": {index.Step},\n\"seed\": \"{index.Seed}\",\n");
        text.Append(c, $"\"data\": {(index.Data is { } data ? $"{{\"source\": {Quote(data.Source)}, \"fingerprint\": {Quote(data.Fingerprint)}, \"batch\": {data.Batch}}}" : "null")},\n");
        if (index.LossScale is { } scale)
        {
            text.Append(c, $"\"lossScale\": {{\"value\": {scale.Value:R}, \"goodSteps\": {scale.GoodSteps}, \"skippedSteps\": {scale.SkippedSteps}}},\n");
        }

        text.Append(c, $"\"notes\": {{{string.Join(", ", index.Notes.OrderBy(n => n.Key, StringComparer.Ordinal).Select(n => $"{Quote(n.Key)}: {Quote(n.Value)}"))}}},\n");
        text.Append(c, $"\"files\": [\n{string.Join(",\n", index.Files.Select(f => $"{{\"name\": {Quote(f.Name)}, \"bytes\": {f.Bytes}, \"headerCrc32c\": \"{Crc32C.Text(f.HeaderChecksum)}\"}}"))}\n],\n");
        text.Append("\"tensors\": [");
        for (int i = 0; i < index.Tensors.Count; i++)
        {
            IndexTensor tensor = index.Tensors[i];
            text.Append(c, $"{(i == 0 ? "\n" : ",\n")}{{\"name\": {Quote(tensor.Name)}, \"dtype\": {Quote(tensor.DType)}, \"logical\": {Numbers(tensor.Logical)}, \"pieces\": [");
            text.AppendJoin(", ", tensor.Pieces.Select(p => $"{{\"file\": {p.File}, \"name\": {Quote(p.Name)}, {PieceText(p.Piece, p.Checksum)}}}")).Append("]}");
        }

        text.Append("\n]");
        byte[] body = Encoding.UTF8.GetBytes(text.ToString());
        return [.. body, .. Encoding.UTF8.GetBytes(Trailer + Crc32C.Text(Crc32C.Of(body)) + End)];
    }

    /// <summary>Where a piece lies, and its checksum: the properties that the index and the notes of a rank's file share.</summary>
    public static string PieceText(TensorPiece piece, uint checksum) =>
        $"\"start\": {Numbers(piece.Start)}, \"local\": {Numbers(piece.Local)}{(piece.IsRange ? $", \"range\": {Numbers([piece.From, piece.Count])}" : "")}, \"crc32c\": \"{Crc32C.Text(checksum)}\"";

    /// <summary>Reads what <see cref="PieceText"/> wrote.</summary>
    public static (TensorPiece Piece, uint Checksum) ReadPiece(JsonElement json, long[] logical)
    {
        long[] range = json.TryGetProperty("range", out JsonElement given) ? Numbers(given) : [0, -1];
        if (range.Length != 2)
        {
            throw new FormatException("a range is a first element and a count");
        }

        return (new TensorPiece(logical, Numbers(json.GetProperty("start")), Numbers(json.GetProperty("local")), range[0], range[1]), Checksum(json.GetProperty("crc32c")));
    }

    /// <summary>Reads an index.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="bytes">The file.</param>
    /// <exception cref="CheckpointException">It is damaged, or of a newer format.</exception>
    public static CheckpointIndex Read(string path, ReadOnlyMemory<byte> bytes)
    {
        int tail = Trailer.Length + 8 + End.Length, body = bytes.Length - tail;
        if (body < 0 || Encoding.UTF8.GetString(bytes.Span[body..]) != Trailer + Crc32C.Text(Crc32C.Of(bytes.Span[..body])) + End)
        {
            throw new CheckpointException(path, "is damaged: its checksum, the last of its lines, is missing or is not that of the lines before. Use another checkpoint.");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            JsonElement root = document.RootElement;
            int format = root.GetProperty("format").GetInt32(), oldest = root.GetProperty("oldestReader").GetInt32();
            return oldest <= CheckpointIndex.Format
                ? Index(root)
                : throw new CheckpointException(path, $"has format {format}, which readers of format {oldest} and newer understand; this runtime reads up to {CheckpointIndex.Format}: update the Shardwright package.");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or OverflowException or KeyNotFoundException)
        {
            throw new CheckpointException(path, $"is no index of a checkpoint: {error.Message}", error);
        }
    }

    private static CheckpointIndex Index(JsonElement root)
    {
        JsonElement data = root.GetProperty("data");
        IndexFile[] files = [.. root.GetProperty("files").EnumerateArray().Select(f => new IndexFile(FileName(Text(f, "name")), f.GetProperty("bytes").GetInt64(), Checksum(f.GetProperty("headerCrc32c"))))];
        var index = new CheckpointIndex(
            Text(root, "model"), Text(root, "optimizer"), Text(root, "mesh"),
            [.. root.GetProperty("axes").EnumerateArray().Select(a => new MeshAxisInfo(Text(a, "name"), a.GetProperty("size").GetInt32()))],
            root.GetProperty("step").GetInt32(), ulong.Parse(Text(root, "seed"), NumberStyles.None, CultureInfo.InvariantCulture),
            data.ValueKind == JsonValueKind.Null ? null : new DataPosition(Text(data, "source"), Text(data, "fingerprint"), data.GetProperty("batch").GetInt64()),
            root.GetProperty("notes").EnumerateObject().ToDictionary(n => n.Name, n => n.Value.GetString() ?? "", StringComparer.Ordinal),
            files, [.. root.GetProperty("tensors").EnumerateArray().Select(t => Tensor(t, files.Length))], root.TryGetProperty("lossScale", out JsonElement scale) ? Scale(scale) : null);
        string? twice = index.Tensors.GroupBy(t => t.Name).FirstOrDefault(g => g.Count() > 1)?.Key;
        return index.Step < 0 ? throw new FormatException($"step {index.Step} is negative")
            : twice is not null ? throw new FormatException($"tensor '{twice}' occurs twice") : index;
    }

    private static IndexTensor Tensor(JsonElement json, int files)
    {
        string name = Text(json, "name"), type = Text(json, "dtype");
        long[] logical = Numbers(json.GetProperty("logical"));
        try
        {
            var pieces = new List<IndexPiece>();
            foreach (JsonElement piece in json.GetProperty("pieces").EnumerateArray())
            {
                int file = piece.GetProperty("file").GetInt32();
                (TensorPiece place, uint checksum) = ReadPiece(piece, logical);
                pieces.Add(file >= 0 && file < files ? new IndexPiece(file, Text(piece, "name"), place, checksum) : throw new FormatException($"there is no file {file}"));
            }

            string? gap = type != "F32" ? $"its element type is {type}, and this runtime trains F32" : pieces.Count == 0 ? "it has no pieces" : TensorPiece.Gap([.. pieces.Select(p => p.Piece)]);
            return gap is null ? new IndexTensor(name, type, logical, pieces) : throw new FormatException(gap);
        }
        catch (FormatException error)
        {
            throw new FormatException($"tensor '{name}': {error.Message}", error);
        }
    }

    private static LossScale Scale(JsonElement json)
    {
        var scale = new LossScale(json.GetProperty("value").GetSingle(), json.GetProperty("goodSteps").GetInt32(), json.GetProperty("skippedSteps").GetInt32());
        return LossScaling.IsScale(scale.Value) && scale.GoodSteps >= 0 && scale.SkippedSteps >= 0 ? scale
            : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"a loss scale of {scale.Value:R} after {scale.GoodSteps} good steps and {scale.SkippedSteps} skipped ones is none"));
    }

    /// <summary>A file's name stays within the checkpoint's folder.</summary>
    private static string FileName(string name) => name.Length > 0 && name == Path.GetFileName(name) && name is not ("." or "..") && !name.Contains('\\') && !name.Contains('\0')
        ? name
        : throw new FormatException($"'{name}' is no name of a file of a checkpoint");

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString() ?? throw new FormatException($"'{name}' is null");

    private static uint Checksum(JsonElement json) => uint.Parse(json.GetString() ?? "", NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static long[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(n => n.GetInt64())];

    private static string Numbers(long[] numbers) => "[" + string.Join(", ", numbers) + "]";

    private static string Quote(string text) => "\"" + JsonEncodedText.Encode(text) + "\"";
}
