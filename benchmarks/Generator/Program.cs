using System.Globalization;
using Shardwright.Benchmarks;

// usage: Generator [gpt|hostile|all|FOLDER] [--runs N] [--only NAME] [--write DIR]
string Option(string name, string otherwise) => Array.IndexOf(args, name) is int at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
int runs = int.Parse(Option("--runs", "15"), CultureInfo.InvariantCulture);
string only = Option("--only", ""), write = Option("--write", "");
string what = args.Length > 0 && !args[0].StartsWith('-') ? args[0] : "all";

void Report(string name, IReadOnlyList<Cost> costs)
{
    static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
        $"{name,-34} wall {costs.Min(c => c.Wall.TotalMilliseconds),8:F1} least {Median(costs.Select(c => c.Wall.TotalMilliseconds)),8:F1} median ms   processor {costs.Min(c => c.Processor.TotalMilliseconds),8:F1} least {Median(costs.Select(c => c.Processor.TotalMilliseconds)),8:F1} median ms   {Median(costs.Select(c => c.Allocated / 1048576.0)),8:F1} MiB"));
}

void Keep(string folder, Editor editor)
{
    if (write.Length > 0)
    {
        foreach ((string name, string text) in editor.Sources)
        {
            Directory.CreateDirectory(Path.Combine(write, folder));
            File.WriteAllText(Path.Combine(write, folder, name), text);
        }
    }
}

if (what is "gpt" or "all")
{
    GptBenchmark.Run(runs, Report, Keep);
}

if (what is "hostile" or "all")
{
    foreach (string name in HostileShapes.Names.Where(n => only.Length == 0 || n == only))
    {
        var costs = new List<Cost>();
        for (int run = 0; run < Math.Min(6, runs); run++)
        {
            var editor = new Editor(("Model.cs", HostileShapes.Source(name, run)));
            costs.Add(editor.Run());
            Keep(name, editor);
        }

        Report(name, costs);
    }
}

if (Directory.Exists(what))
{
    // The sources of a project of your own; what they do not find in the framework and the runtime is left open, as while you type.
    const string Usings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Threading; global using System.Threading.Tasks;";
    (string, string)[] files = [.. Directory.EnumerateFiles(what, "*.cs", SearchOption.AllDirectories)
        .Where(f => !Path.GetRelativePath(what, f).Split(Path.DirectorySeparatorChar).Any(part => part is "obj" or "bin")).Order(StringComparer.Ordinal)
        .Select(f => (f, File.ReadAllText(f))), ("Usings.cs", Usings)];
    var costs = new List<Cost>();
    for (int run = 0; run < runs; run++)
    {
        var editor = new Editor(files);
        costs.Add(editor.Run());
        Keep(Path.GetFileName(what.TrimEnd(Path.DirectorySeparatorChar)), editor);
    }

    Report(what, costs);
}
