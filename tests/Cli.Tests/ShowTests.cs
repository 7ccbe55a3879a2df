using System.Text.Json;

namespace Shardwright.Cli.Tests;

/// <summary><c>show</c>: every tensor with its placement.</summary>
public sealed class ShowTests
{
    private static readonly string s_gpt = typeof(TinyGpt.Gpt).Assembly.Location;

    [Fact]
    public void Every_tensor_has_a_placement_on_every_axis()
    {
        JsonElement[] tensors = [.. Tool.Json("show", s_gpt, "--model", "Gpt", "--mesh", "Dp2Tp2").GetProperty("tensors").EnumerateArray()];
        foreach (string kind in new[] { "parameter", "input", "carried", "forward", "backward" })
        {
            Assert.Contains(tensors, t => t.GetProperty("kind").GetString() == kind);
        }

        foreach (JsonElement tensor in tensors)
        {
            Dictionary<string, string> placement = tensor.GetProperty("placement").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!);
            Assert.Equal(["dp", "tp"], placement.Keys);
            long[] logical = [.. tensor.GetProperty("logical").EnumerateArray().Select(n => n.GetInt64())], local = [.. tensor.GetProperty("local").EnumerateArray().Select(n => n.GetInt64())];
            for (int dim = 0; dim < logical.Length; dim++)
            {
                Assert.Equal(logical[dim], local[dim] << placement.Values.Count(p => p == $"S({dim})"));
            }
        }
    }

    [Fact]
    public void Parameters_lie_as_in_the_plan()
    {
        JsonElement[] tensors = [.. Tool.Json("show", s_gpt, "--mesh", "Dp2Tp2").GetProperty("tensors").EnumerateArray()];
        Assert.Equal(
            Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2").GetProperty("parameters").EnumerateArray().Select(p => $"{p.GetProperty("path")} {p.GetProperty("placement")}").Order(),
            tensors.Where(t => t.GetProperty("kind").GetString() == "parameter")
                .Select(t => $"{t.GetProperty("name")} {string.Join(", ", t.GetProperty("placement").EnumerateObject().Select(p => $"{p.Name}: {p.Value}"))}").Order());
        JsonElement product = Assert.Single(tensors, t => t.GetProperty("name").GetString() == "feedForwardMatMul" && t.GetProperty("op").GetString() == "MatMul" && t.GetProperty("made").GetProperty("tp").GetString() == "P");
        Assert.Equal("B", product.GetProperty("placement").GetProperty("tp").GetString());
    }

    [Fact]
    public void The_table_has_a_row_for_each()
    {
        (int code, string output, _) = Tool.Run("show", s_gpt, "--mesh", "Tp2", "--set", "Hidden=256");
        Assert.Equal(ExitCodes.Success, code);
        string[] lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("tensor ", lines[0], StringComparison.Ordinal);
        Assert.Equal(1 + Tool.Json("show", s_gpt, "--mesh", "Tp2").GetProperty("tensors").GetArrayLength(), lines.Length);
        Assert.Contains(lines, l => l.Contains("float[256, 1024]", StringComparison.Ordinal) && l.EndsWith("tp: S(1)", StringComparison.Ordinal));
    }

    [Fact]
    public void One_mesh_must_be_chosen() =>
        Assert.Contains("choose with --model and --mesh", Tool.Refusal(ExitCodes.Usage, "show", s_gpt), StringComparison.Ordinal);

    [Fact]
    public void No_plan_no_placements() =>
        Assert.Contains("SW1003", Tool.Refusal(ExitCodes.Refused, "show", s_gpt, "--mesh", "Tp2", "--axis", "tp=3"), StringComparison.Ordinal);
}
