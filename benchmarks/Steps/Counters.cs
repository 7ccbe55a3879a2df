using System.Globalization;

namespace Shardwright.Benchmarks.Steps;

/// <summary>What may make one step later than another, as counted since the process began.</summary>
/// <param name="Collections">Garbage collections.</param>
/// <param name="Methods">Methods that were compiled.</param>
/// <param name="Faults">Page faults that needed no disk (Linux; else 0).</param>
/// <param name="Preempted">Times that the calling thread was put off its core for another one's sake (Linux; else 0).</param>
internal readonly record struct Counters(long Collections, long Methods, long Faults, long Preempted)
{
    public static Counters Now() => new(GC.CollectionCount(0), System.Runtime.JitInfo.GetCompiledMethodCount(), OfStat(), OfStatus());

    public static Counters operator -(Counters a, Counters b) => new(a.Collections - b.Collections, a.Methods - b.Methods, a.Faults - b.Faults, a.Preempted - b.Preempted);

    public override string ToString() => $"{Collections} collections, {Methods} methods compiled, {Faults} page faults, {Preempted} times preempted";

    private static long OfStat()
    {
        const string File = "/proc/thread-self/stat";
        if (!System.IO.File.Exists(File))
        {
            return 0;
        }

        // The name of the thread, in brackets, may hold blanks; the faults are the eighth field behind it.
        string text = System.IO.File.ReadAllText(File);
        return long.Parse(text[(text.LastIndexOf(')') + 2)..].Split(' ')[7], CultureInfo.InvariantCulture);
    }

    private static long OfStatus()
    {
        const string File = "/proc/thread-self/status", Key = "nonvoluntary_ctxt_switches:";
        return System.IO.File.Exists(File) && System.IO.File.ReadLines(File).FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal)) is { } line
            ? long.Parse(line[Key.Length..], CultureInfo.InvariantCulture) : 0;
    }
}
