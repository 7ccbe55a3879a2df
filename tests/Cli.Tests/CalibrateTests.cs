using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Shardwright.Cli.Tests;

/// <summary><c>calibrate</c>: the class that it writes says what was measured.</summary>
public sealed class CalibrateTests
{
    [Fact]
    public void A_class_with_the_measured_numbers_is_written()
    {
        string file = Path.Combine(Path.GetTempPath(), $"shardwright-{Guid.NewGuid():N}.cs");
        try
        {
            JsonElement measured = Tool.Json("calibrate", "--seconds", "0.01", "--threads", "2", "--name", "Laptop", "--namespace", "My.Machines", "--out", file);
            string source = File.ReadAllText(file);
            Assert.Contains("namespace My.Machines;", source, StringComparison.Ordinal);
            Assert.Contains("public sealed class Laptop;", source, StringComparison.Ordinal);
            Assert.Contains("MaxThreads = 2,", source, StringComparison.Ordinal);
            double peak = measured.GetProperty("products").EnumerateArray().Max(p => p.GetProperty("perSecond").GetDouble());
            Match figures = Regex.Match(source, @"MemoryBytes = (\d+), ReserveBytes = 256L << 20, BandwidthGBs = ([\d.E+-]+), Fp32TFlops = ([\d.E+-]+), LaunchMicroseconds = ([\d.E+-]+),");
            Assert.True(figures.Success, source);
            double[] numbers = [.. Enumerable.Range(1, 4).Select(i => double.Parse(figures.Groups[i].Value, CultureInfo.InvariantCulture))];
            Assert.InRange(numbers[0], 1L << 28, 1L << 50);
            Assert.InRange(numbers[1], 0.1, 100_000);
            Assert.Equal(peak / 1e12, numbers[2], 1e-3 * peak / 1e12);
            Assert.InRange(numbers[3], 0, 1e5);
            double[] shares = [.. Regex.Matches(source, @"\[DeviceEfficiency\(WorkKind\.(Product|Memory), \d+, ([\d.]+)\)\]").Select(m => double.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture))];
            Assert.Equal(10, shares.Length);
            Assert.All(shares, s => Assert.InRange(s, 0.001, 1));
            Assert.Equal(2, shares.Count(s => s == 1) is >= 2 ? 2 : 0);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("--name 2nd", "--name 2nd: it is a C# class name")]
    [InlineData("--namespace a..b", "--namespace a..b: it is a C# namespace")]
    [InlineData("--threads 0", "--threads 0: it is a whole number from 1 to 4096")]
    [InlineData("--seconds -1", "--seconds -1: it is more than 0")]
    public void Nonsense_is_named(string options, string part) =>
        Assert.Contains(part, Tool.Refusal(ExitCodes.Usage, ["calibrate", .. options.Split(' ')]), StringComparison.Ordinal);

    [Fact]
    public void A_file_that_cannot_be_written_is_named() =>
        Assert.Contains("/nowhere/at/all.cs", Tool.Refusal(ExitCodes.BadFile, "calibrate", "--seconds", "0.001", "--out", "/nowhere/at/all.cs"), StringComparison.Ordinal);
}
