using System.Text.Json;

namespace Shardwright.Cli.Tests;

/// <summary><c>devices</c>: what is there, what was looked for, and what is said where even the search is missing.</summary>
public sealed class DevicesTests
{
    private static readonly string s_folder = BuiltBackend();

    [Fact]
    public void Every_kind_is_looked_for_and_answered()
    {
        JsonElement[] kinds = [.. Tool.Json("devices", "--from", s_folder).GetProperty("kinds").EnumerateArray()];
        Assert.Equal(["cuda", "opencl", "ilgpu-cpu"], kinds.Select(k => k.GetProperty("kind").GetString()));
        foreach (JsonElement kind in kinds)
        {
            bool none = kind.GetProperty("devices").GetArrayLength() == 0;
            Assert.Equal(none ? JsonValueKind.String : JsonValueKind.Null, kind.GetProperty("problem").ValueKind);
            Assert.NotEmpty(kind.GetProperty("lookedFor").GetString()!);
            Assert.True(!none || kind.GetProperty("problem").GetString()!.Contains(kind.GetProperty("lookedFor").GetString()!, StringComparison.Ordinal));
        }

        JsonElement cpu = Assert.Single(kinds[2].GetProperty("devices").EnumerateArray());
        Assert.Equal(0, cpu.GetProperty("number").GetInt32());
        Assert.Contains("CPU", cpu.GetProperty("name").GetString()!, StringComparison.Ordinal);
        Assert.True(cpu.GetProperty("memoryBytes").GetInt64() > 0);

        (int code, string output, _) = Tool.Run("devices", "--from", s_folder);
        Assert.Equal(ExitCodes.Success, code);
        Assert.Contains("ilgpu-cpu  0: ", output, StringComparison.Ordinal);
        Assert.Equal(3, output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split(' ')[0]).Distinct().Count());
    }

    [Theory]
    [InlineData("cuda")]
    [InlineData("opencl")]
    public void A_kind_that_is_not_there_is_refused(string kind)
    {
        JsonElement all = Tool.Json("devices", "--from", s_folder);
        if (all.GetProperty("kinds").EnumerateArray().First(k => k.GetProperty("kind").GetString() == kind).GetProperty("devices").GetArrayLength() > 0)
        {
            Assert.Equal(ExitCodes.Success, Tool.Run("devices", "--kind", kind, "--from", s_folder).Code);
            return;
        }

        Assert.StartsWith($"shardwright: no {kind} device: ", Tool.Refusal(ExitCodes.Refused, "devices", "--kind", kind, "--from", s_folder), StringComparison.Ordinal);
    }

    [Fact]
    public void A_kind_that_does_not_exist_is_named() =>
        Assert.Contains("--kind metal: it is one of cuda, opencl, ilgpu-cpu", Tool.Refusal(ExitCodes.Usage, "devices", "--kind", "metal"), StringComparison.Ordinal);

    [Fact]
    public void Missing_and_damaged_assemblies_are_named()
    {
        string folder = Directory.CreateTempSubdirectory("shardwright-devices-").FullName;
        try
        {
            Assert.Contains("has no Shardwright.Runtime.Ilgpu.dll, which looks for accelerators: give --from", Tool.Refusal(ExitCodes.BadFile, "devices", "--from", folder), StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(folder, "Shardwright.Runtime.Ilgpu.dll"), "no assembly");
            Assert.Contains("has no ILGPU.dll", Tool.Refusal(ExitCodes.BadFile, "devices", "--from", folder), StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(folder, "ILGPU.dll"), "no assembly");
            Assert.Contains("cannot be used", Tool.Refusal(ExitCodes.BadFile, "devices", "--from", folder), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Where the backend was built: beside the sources, in the configuration of these tests.</summary>
    private static string BuiltBackend()
    {
        string output = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar), root = output;
        while (!File.Exists(Path.Combine(root, "Generators.sln")))
        {
            root = Path.GetDirectoryName(root)!;
        }

        return Path.Combine(root, "src", "Runtime.Ilgpu", "bin", Path.GetFileName(Path.GetDirectoryName(output))!, "net10.0");
    }
}
