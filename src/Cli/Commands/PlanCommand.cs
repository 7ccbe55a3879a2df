extern alias runtime;

using System.CommandLine;
using Shardwright.Cli.Assemblies;
using Shardwright.Cli.Plans;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Commands;

/// <summary><c>plan PATH.dll</c>: the plan of a compiled model again, with other dims, sizes, device; nothing is compiled or run.</summary>
internal static class PlanCommand
{
    private static readonly TargetOptions s_target = new();
    private static readonly Option<bool> s_json = CommonOptions.Json();

    private static readonly Option<string> s_svg = new("--svg") { HelpName = "FILE", Description = "Draws the live bytes of a step into a file." };

    public static Command Create() =>
        s_target.AddTo(new Command("plan", "The plan of a compiled model: memory, collectives, work of a rank, with other sizes where you give them.") { s_json, s_svg }).Runs(Run);

    private static int Run(CommandContext context)
    {
        (AssemblySet set, IReadOnlyList<PlanTarget> targets, Overrides overrides) = s_target.Read(context);
        string[] documents = [.. targets.Select(t =>
        {
            (RankProgram program, PlanResult result) = PlanRunner.Run(overrides.Apply(t, set), overrides, context.Cancellation);
            return PlanDocument.Write(program, result.WaysOut);
        })];
        if (context.Get(s_svg) is { } file)
        {
            File.WriteAllText(file, documents.Length == 1 ? MemorySvg.Draw(runtime::Shardwright.Plan.Parse(documents[0]))
                : throw CliException.Usage($"--svg draws one model on one mesh, and there are {string.Join(", ", targets.Select(t => $"{t.Model.Layer.ShortName} {t.On.NestedName}"))}: choose with --model and --mesh"));
        }

        if (!context.Get(s_json))
        {
            context.Output.Write(string.Join("\n", documents.Select(d => runtime::Shardwright.Plan.Parse(d).ToString())));
        }
        else
        {
            context.Output.WriteLine(documents.Length == 1 ? documents[0] : "{\"plans\": [\n" + string.Join(",\n", documents) + "\n]}");
        }

        return ExitCodes.Success;
    }
}
