extern alias runtime;

using System.CommandLine;
using Shardwright.Cli.Assemblies;
using Shardwright.Cli.Plans;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Commands;

/// <summary><c>report PATH.dll --out FILE|DIR</c>: a page for each mesh, of the plan that <c>plan</c> would print.</summary>
internal static class ReportCommand
{
    private static readonly TargetOptions s_target = new();
    private static readonly Option<string> s_out = new("--out") { HelpName = "FILE|DIR", Description = "The page, or a folder for all of them; it is made where there is none.", Required = true };

    public static Command Create() =>
        s_target.AddTo(new Command("report", "A self-contained HTML page for each mesh: where tensors lie, memory, the step, collectives.") { s_out }).Runs(Run);

    private static int Run(CommandContext context)
    {
        (AssemblySet set, IReadOnlyList<PlanTarget> targets, Overrides overrides) = s_target.Read(context);
        string[] files = Files(context.Get(s_out)!, targets);
        for (int i = 0; i < targets.Count; i++)
        {
            (RankProgram program, PlanResult result) = PlanRunner.Run(overrides.Apply(targets[i], set), overrides, context.Cancellation);
            runtime::Shardwright.Plan plan = runtime::Shardwright.Plan.Parse(PlanDocument.Write(program, result.WaysOut));
            Write(files[i], plan.ToHtml());
            context.Output.WriteLine($"{targets[i].Model.Layer.ShortName} {targets[i].On.NestedName}: {(plan.Fits ? "fits" : "DOES NOT FIT")}, {files[i]}");
        }

        return ExitCodes.Success;
    }

    /// <summary>Where each page goes: a file for one, a folder for more; and for one where the folder is there, or its name ends as one.</summary>
    private static string[] Files(string path, IReadOnlyList<PlanTarget> targets)
    {
        if (targets.Count == 1 && !Directory.Exists(path) && !Path.EndsInDirectorySeparator(path))
        {
            return [path];
        }

        return targets.Count > 1 && (File.Exists(path) || Path.GetExtension(path) is ".html" or ".htm")
            ? throw CliException.Usage($"--out {path} is one file, and there are {targets.Count} pages ({string.Join(", ", targets.Select(t => $"{t.Model.Layer.ShortName} {t.On.NestedName}"))}): name a folder, or choose with --model and --mesh")
            : [.. targets.Select(t => Path.Combine(path, $"{t.Model.Layer.ShortName}.{t.On.NestedName}.html"))];
    }

    private static void Write(string file, string page)
    {
        try
        {
            if (Path.GetDirectoryName(Path.GetFullPath(file)) is { Length: > 0 } folder)
            {
                Directory.CreateDirectory(folder);
            }

            File.WriteAllText(file, page);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw CliException.BadFile($"the page cannot be written to '{file}': {error.Message}");
        }
    }
}
