using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Shardwright.Worlds;

/// <summary>The end of a sleep: timers of the runtime count in milliseconds, and a wait that they end is up to half of one late. The kernel's own clock is exact to some tens of microseconds.</summary>
internal static partial class Nap
{
    private static readonly bool s_isExact = OperatingSystem.IsLinux() || OperatingSystem.IsMacOS();

    /// <summary>How much of a sleep is left to this: the rest, which may be interrupted, is slept before.</summary>
    public static readonly double Milliseconds = s_isExact ? 1.5 : 0.5;

    /// <summary>By how much the kernel may be late.</summary>
    private static readonly long s_slack = Stopwatch.Frequency * 70 / 1_000_000;

    /// <summary>Sleeps until a moment that is some milliseconds away at most, and gives the processor to others for the last tens of microseconds.</summary>
    /// <param name="until">A reading of <see cref="Stopwatch.GetTimestamp"/>.</param>
    public static void Until(long until)
    {
        while (Stopwatch.GetTimestamp() is var now && now < until)
        {
            long left = until - now - s_slack;
            if (left > 0 && s_isExact)
            {
                var time = new TimeSpec(0, (nint)(left * 1_000_000_000.0 / Stopwatch.Frequency));
                _ = Sleep(in time, 0);
            }
            else
            {
                Thread.Yield();
            }
        }
    }

    /// <summary>Seconds and billionths of one, below a second in all.</summary>
    private readonly record struct TimeSpec(nint Seconds, nint Nanoseconds);

    [LibraryImport("libc", EntryPoint = "nanosleep")]
    private static partial int Sleep(in TimeSpec time, nint remaining);
}
