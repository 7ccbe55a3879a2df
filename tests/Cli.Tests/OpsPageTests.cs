using System.Text.Json;
using System.Text.RegularExpressions;

namespace Shardwright.Cli.Tests;

/// <summary>docs/ops.md and <c>sbp</c> say the same, from one catalogue.</summary>
public sealed class OpsPageTests
{
    /// <summary>Rows by operator, which have another name in the graph.</summary>
    private static readonly Dictionary<string, string> s_operators = new()
    {
        ["a + b"] = "Add", ["a - b"] = "Subtract", ["a * b"] = "Multiply", ["a / b"] = "Divide", ["-a"] = "Negate", ["2f * a"] = "Scale", ["a * 2f"] = "Scale", ["a / 2f"] = "Scale", ["a + 1f"] = "Offset", ["1f - a"] = "Offset",
    };

    private static readonly string s_page = File.ReadAllText(Path.Combine(Root(), "docs", "ops.md"));

    /// <summary>Op and what the page says about partial values, for each op of each row that says so.</summary>
    public static TheoryData<string, string> Partials
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string[] cells in Rows().Where(c => c.Length > 4))
            {
                foreach (string op in Names(cells[1]).Distinct())
                {
                    data.Add(op, cells[^2].Trim());
                }
            }

            return data;
        }
    }

    [Fact]
    public void The_table_of_signatures_is_what_the_tool_writes()
    {
        (int code, string table, _) = Tool.Run("sbp", "--list", "--markdown");
        Assert.Equal(ExitCodes.Success, code);
        Assert.Equal(table.TrimEnd(), s_page[s_page.IndexOf(table[..table.IndexOf('\n', StringComparison.Ordinal)], StringComparison.Ordinal)..].TrimEnd());
    }

    [Fact]
    public void Every_op_of_the_page_can_be_asked_for()
    {
        string[] ops = [.. Rows().SelectMany(c => Names(c[1])).Distinct()];
        Assert.True(ops.Length > 45, $"only {ops.Length}");
        foreach (string op in ops.Where(o => o != "Parameter"))   // a parameter is no op: it lies as it is declared
        {
            Assert.True(Tool.Json("sbp", op).GetProperty("signatures").GetArrayLength() > 0, op);
        }
    }

    [Theory]
    [MemberData(nameof(Partials))]
    public void The_column_of_partial_values_holds(string op, string says)
    {
        bool passes = Tool.Json("sbp", op).GetProperty("signatures").EnumerateArray()
            .Any(r => r.GetProperty("valid").GetBoolean() && r.GetProperty("inputs").EnumerateArray().Any(p => p.GetString() == "P"));
        bool expected = !(says.StartsWith("no", StringComparison.Ordinal) || says == "–" || op == "Map");
        Assert.Equal(expected, passes);
    }

    [Fact]
    public void The_list_names_what_can_be_asked_for()
    {
        foreach (JsonElement op in Tool.Json("sbp", "--list").GetProperty("ops").EnumerateArray())
        {
            string name = op.GetProperty("name").GetString()!;
            string[] attributes = [.. op.GetProperty("attributes").EnumerateArray().SelectMany(a => new[] { "--attr", $"{a.GetProperty("name")}={a.GetProperty("example")}" })];
            string shapes = string.Join(",", op.GetProperty("inputs").EnumerateArray());
            Assert.Equal(
                Tool.Json("sbp", name).GetProperty("signatures").ToString(),
                Tool.Json(["sbp", name, "--shapes", shapes, .. attributes]).GetProperty("signatures").ToString());
        }
    }

    private static IEnumerable<string[]> Rows() => s_page.Split('\n').Where(l => l.StartsWith("| `", StringComparison.Ordinal)).Select(l => l.Split('|'));

    private static IEnumerable<string> Names(string cell) => Regex.Matches(cell, "`([^`]+)`").Select(m => m.Groups[1].Value)
        .Select(call => s_operators.TryGetValue(call, out string? op) ? op : call[..call.IndexOf('(', StringComparison.Ordinal)]);

    private static string Root()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Generators.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("the repository was not found above the tests");
    }
}
