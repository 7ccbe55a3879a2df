using System.Text.Json;
using System.Xml.Linq;

namespace Shardwright.Cli.Tests;

/// <summary><c>schedule</c> and <c>cut</c>: answers, pictures, refusals.</summary>
public sealed class ScheduleTests
{
    [Theory]
    [InlineData("gpipe", 4, 8, 3 * 11)]
    [InlineData("1f1b", 4, 8, 3 * 11)]
    [InlineData("interleaved", 4, 8, 6 * 8 + 9)]
    [InlineData("bfs", 4, 8, 6 * 8 + 9)]
    [InlineData("zb-h1", 4, 8, 3 * 8 + 3)]
    [InlineData("zb-v", 4, 8, 6 * 8 + 3)]
    public void Json_has_the_table_and_what_it_costs(string kind, int ranks, int count, double makespan)
    {
        JsonElement root = Tool.Json("schedule", kind, "--ranks", $"{ranks}", "--microbatches", $"{count}");
        Assert.Equal(["ranks", "makespan", "bubble", "peak"], root.EnumerateObject().Select(p => p.Name));
        Assert.Equal(makespan, root.GetProperty("makespan").GetDouble());
        Assert.Equal(ranks, root.GetProperty("ranks").GetArrayLength());
        Assert.Equal(ranks, root.GetProperty("peak").GetArrayLength());
        double busy = 3.0 * count * (kind is "interleaved" or "bfs" or "zb-v" ? 2 : 1);
        Assert.Equal(1 - busy / makespan, root.GetProperty("bubble").GetDouble(), 9);
        Assert.Equal("0F0", root.GetProperty("ranks")[0][0].GetString());
    }

    [Fact]
    public void Times_hops_and_groups_are_heard()
    {
        double Makespan(params string[] more) => Tool.Json(["schedule", "gpipe", "--ranks", "2", "--microbatches", "2", .. more]).GetProperty("makespan").GetDouble();
        Assert.Equal(9, Makespan());
        Assert.Equal(2 + 2 + 2 + 2 * 6.5 + 6.5, Makespan("--forward", "2", "--input", "2.5", "--weight", "4"));
        Assert.Equal(9 + 2 * 5, Makespan("--hop", "5"));
        Assert.Equal(1 + 3 + 3 + 6 + 6 + 2, Makespan("--costs", "1,3"));
        string grouped = Tool.Json("schedule", "interleaved", "--ranks", "2", "--chunks", "3", "--microbatches", "8", "--group", "4").GetProperty("ranks")[0].ToString();
        Assert.StartsWith("[\"0F0\",\"0F1\",\"0F2\",\"0F3\",\"2F0\"", grouped.Replace("\n", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.True(
            Tool.Json("schedule", "1f1b", "--ranks", "4", "--microbatches", "32", "--hop", "1", "--hop-aware").GetProperty("makespan").GetDouble()
            < Tool.Json("schedule", "1f1b", "--ranks", "4", "--microbatches", "32", "--hop", "1").GetProperty("makespan").GetDouble());
    }

    [Fact]
    public void Text_names_every_rank_and_the_proof()
    {
        (int code, string output, _) = Tool.Run("schedule", "zb-h1", "--ranks", "2", "--microbatches", "3");
        Assert.Equal(ExitCodes.Success, code);
        Assert.Contains("rank 1: 1F0 1I0 1F1 1I1 1W0 1F2 1I2 1W1 1W2\n", output, StringComparison.Ordinal);
        Assert.Contains("makespan 10, bubble 10 %, live micro-batches at most 2 2\n", output, StringComparison.Ordinal);
        Assert.Contains("proven to end", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_picture_has_a_box_for_each_action()
    {
        string file = Path.Combine(Path.GetTempPath(), $"shardwright-{Guid.NewGuid():N}.svg");
        try
        {
            Assert.Equal(ExitCodes.Success, Tool.Run("schedule", "zb-v", "--ranks", "3", "--microbatches", "6", "--hop", "0.25", "--svg", file).Code);
            XDocument picture = XDocument.Load(file);
            XNamespace svg = "http://www.w3.org/2000/svg";
            Assert.Equal(3 * 2 * 3 * 6, picture.Descendants(svg + "title").Count());
            Assert.Contains(picture.Descendants(svg + "title"), t => t.Value.StartsWith("5I0: ", StringComparison.Ordinal));
            Assert.Contains("prefers-color-scheme: dark", picture.Root!.Element(svg + "style")!.Value, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData(ExitCodes.Usage, "there is no schedule '1f1c': did you mean '1f1b'?", "1f1c", "--ranks", "4", "--microbatches", "8")]
    [InlineData(ExitCodes.Refused, "each must be 1 or more; 1, 1 and 8 would do", "1f1b", "--ranks", "0", "--microbatches", "8")]
    [InlineData(ExitCodes.Refused, "a group size of 4 or 8 would do", "interleaved", "--ranks", "4", "--microbatches", "8", "--group", "5")]
    [InlineData(ExitCodes.Refused, "8 or 10 micro-batches would", "interleaved", "--ranks", "4", "--microbatches", "9")]
    [InlineData(ExitCodes.Refused, "give 2", "zb-v", "--ranks", "4", "--microbatches", "9", "--chunks", "3")]
    [InlineData(ExitCodes.Refused, "micro-batches would do", "gpipe", "--ranks", "100000", "--microbatches", "100000")]
    [InlineData(ExitCodes.Refused, "up to 50000 are drawn", "gpipe", "--ranks", "100", "--microbatches", "1000", "--svg", "never.svg")]
    [InlineData(ExitCodes.Usage, "--costs has 3 times for 4 stages (4 ranks with 1 on each)", "gpipe", "--ranks", "4", "--microbatches", "8", "--costs", "1,2,3")]
    [InlineData(ExitCodes.Usage, "'x' in --costs (number 2) is none", "gpipe", "--ranks", "2", "--microbatches", "8", "--costs", "1,x")]
    [InlineData(ExitCodes.Usage, "--hop is -1: times are 0 or more", "gpipe", "--ranks", "2", "--microbatches", "8", "--hop", "-1")]
    [InlineData(ExitCodes.Usage, "--microbatches", "gpipe", "--ranks", "2")]
    [InlineData(ExitCodes.BadFile, "", "gpipe", "--ranks", "2", "--microbatches", "2", "--svg", "/nowhere/at/all.svg")]
    public void What_cannot_be_is_refused_in_one_line(int code, string expected, params string[] arguments) =>
        Assert.Contains(expected, Tool.Refusal(code, ["schedule", .. arguments]), StringComparison.Ordinal);

    [Fact]
    public void The_best_cut_stands_beside_the_min_max_one()
    {
        string[] arguments = ["cut", "--costs", "8,11,2,1,18,5,4,11", "--ranks", "4", "--microbatches", "8"];
        JsonElement root = Tool.Json(arguments);
        Assert.Equal(573, root.GetProperty("best").GetProperty("makespan").GetDouble());
        Assert.Equal(600, root.GetProperty("minMax").GetProperty("makespan").GetDouble());
        Assert.Equal(8, root.GetProperty("best").GetProperty("counts").EnumerateArray().Sum(c => c.GetInt32()));
        Assert.True(root.GetProperty("exact").GetBoolean());
        string output = Tool.Run(arguments).Output;
        Assert.Contains("best     step 573, largest stage ", output, StringComparison.Ordinal);
        Assert.Contains("min-max  step 600, largest stage 60: ", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ExitCodes.Refused, "so 3 ranks would do", "--costs", "1,2,3", "--ranks", "4", "--microbatches", "8")]
    [InlineData(ExitCodes.Refused, "no cut fits into 10 bytes: the one nearest to it needs 30 on its fullest rank", "--costs", "1,1,1,1", "--ranks", "2", "--microbatches", "2", "--activations", "10", "--memory", "10")]
    [InlineData(ExitCodes.Usage, "--parameters has 2 sizes for 3 segments", "--costs", "1,2,3", "--ranks", "2", "--microbatches", "8", "--parameters", "1,2")]
    [InlineData(ExitCodes.Usage, "there is no schedule 'pipe'", "--costs", "1,2,3", "--ranks", "2", "--microbatches", "8", "--schedule", "pipe")]
    public void Cuts_that_cannot_be_are_refused_in_one_line(int code, string expected, params string[] arguments) =>
        Assert.Contains(expected, Tool.Refusal(code, ["cut", .. arguments]), StringComparison.Ordinal);
}
