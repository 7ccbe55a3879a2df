using System.Runtime.CompilerServices;
using Shardwright.Benchmarks;
using Shardwright.Benchmarks.Steps;

[assembly: InternalsVisibleTo("Profiled")]

// usage: Steps [peer|profile|ranks|latency|allreduce|calibrate] [--model NAME] [--threads N] [--rounds N] [--processor-time] [--python PATH]
var invariant = System.Globalization.CultureInfo.InvariantCulture;
string Option(string name, string otherwise) => Array.IndexOf(args, name) is int at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
string what = args.Length > 0 && !args[0].StartsWith('-') ? args[0] : "peer", only = Option("--model", ""), python = Option("--python", "python3");
int threads = int.Parse(Option("--threads", "1"), invariant), rounds = int.Parse(Option("--rounds", "9"), invariant);

// Processor time is that of one thread: nothing else can be measured by it.
Measure.ProcessorTime = args.Contains("--processor-time") && threads == 1 && what is ("peer" or "profile" or "latency" or "calibrate");
double peak = Limits.FmaPeak();
Console.WriteLine($"multiply-adds in registers: {peak:F1} GFLOP/s a core; {(Measure.ProcessorTime ? "processor time" : "time of day")}");
IEnumerable<Subject> subjects = Subject.All.Where(s => only.Length == 0 || s.Name.StartsWith(only, StringComparison.Ordinal));
switch (what)
{
    case "peer":
        foreach (Subject subject in subjects.Where(s => s.Mesh.Ranks == 1))
        {
            StepBenchmark.AgainstPeer(subject, python, threads, rounds, peak);
        }

        break;
    case "profile":
        foreach (Subject subject in subjects.Where(s => s.Mesh.Ranks == 1))
        {
            StepBenchmark.Profile(subject, threads, rounds, peak);
        }

        break;
    case "ranks":
        StepBenchmark.Ranks([.. Subject.All.Where(s => s.Name.StartsWith("6x384", StringComparison.Ordinal))], rounds);
        break;
    case "latency":
        foreach (Subject subject in subjects.Where(s => s.Mesh.Ranks == 1))
        {
            StepBenchmark.Latency(subject, threads, rounds);
        }

        break;
    case "allreduce":
        AllReduceBenchmark.Run(python, rounds);
        break;
    case "calibrate":
        Calibration.Print(peak);
        break;
    default:
        Console.Error.WriteLine($"'{what}' is no benchmark: peer, profile, ranks, latency, allreduce or calibrate.");
        return 1;
}

return 0;
