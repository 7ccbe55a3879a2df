using System.Diagnostics;
using System.Globalization;
using Shardwright.Execution;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A rank of more than a gibibyte, nearly all of it parameters.</summary>
[ShardedOn<One>]
public sealed partial class Heavy
{
    readonly Tensor table = Parameter(8192, 8192);

    public Tensor Loss([Shape(16, 8192)] Tensor x) => Mean(Square(MatMul(x, table)));
}

/// <summary>What a process takes is its arena and a constant: nothing of a rank's size lies outside of the arena.</summary>
public sealed class MemoryTests
{
    /// <summary>What docs/language.md names: a process of .NET with its compiled code, its stacks and the batch, as measured (35.4 MiB, three runs within 0.2).</summary>
    private const long Process = 36L << 20;

    /// <summary>Most that a run may differ from it.</summary>
    private const long Slack = 64L << 20;

    /// <summary>Trains two steps and says what the arena has, and what the process had at most.</summary>
    public static int Child()
    {
        using var world = World.InProcess(Heavy.OnOne.Mesh, new WorldOptions { ThreadsPerRank = 2 });
        world.Run(context =>
        {
            using var rank = new Heavy.OnOne.Rank(context, 1);
            var x = Tensor.Of([.. Enumerable.Range(0, 16 * 8192).Select(i => i % 7 - 3f)], 16, 8192);
            for (int step = 0; step < 2; step++)
            {
                rank.TrainStep(x, new AdamWSettings(1e-3f));
            }

            string peak = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
            Console.WriteLine($"{rank.AllocatedBytes} {Heavy.OnOne.Plan.TotalBytes} {long.Parse(peak.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Trim('\t'), CultureInfo.InvariantCulture) * 1024}");
        });
        return 0;
    }

    [Fact]
    public void ThePeakOfAProcessIsItsArenaAndAConstant()
    {
        if (!OperatingSystem.IsLinux())
        {
            return; // the peak is read from /proc
        }

        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", ["exec", typeof(MemoryTests).Assembly.Location, "memory"]) { RedirectStandardOutput = true, UseShellExecute = false };
        using var child = System.Diagnostics.Process.Start(start)!;
        long[] numbers = [.. child.StandardOutput.ReadToEnd().Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(n => long.Parse(n, CultureInfo.InvariantCulture))];
        Assert.True(child.WaitForExit(60_000), "the child hangs");
        Assert.Equal(numbers[1], numbers[0]);
        Assert.True(numbers[0] >= 1L << 30, $"the arena has {numbers[0]} bytes");
        long outside = numbers[2] - numbers[0];
        Assert.True(Math.Abs(outside - Process) <= Slack, $"peak {numbers[2]:N0} bytes, arena {numbers[0]:N0}: {outside >> 20} MiB lie outside, and {Process >> 20} are named");
    }
}
