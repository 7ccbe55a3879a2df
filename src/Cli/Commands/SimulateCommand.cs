extern alias runtime;

using System.CommandLine;
using Shardwright.Cli.Assemblies;
using Shardwright.Cli.Plans;
using Shardwright.Cli.Simulations;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Commands;

/// <summary><c>simulate PATH.dll</c>: what each rank would do in a training step, at which time; a mesh of any size, nothing is run.</summary>
internal static class SimulateCommand
{
    private static readonly TargetOptions s_target = new();
    private static readonly Option<bool> s_json = CommonOptions.Json();
    private static readonly Option<string> s_trace = new("--trace") { HelpName = "FILE", Description = "Writes the step as a trace, for ui.perfetto.dev or chrome://tracing." };

    public static Command Create() =>
        s_target.AddTo(new Command("simulate", "A training step before it is run: its time, exposed communication, bubble, MFU, and a trace of it.") { s_json, s_trace }).Runs(Run);

    private static int Run(CommandContext context)
    {
        (AssemblySet set, IReadOnlyList<PlanTarget> targets, Overrides overrides) = s_target.Read(context);
        string? file = context.Get(s_trace);
        if (file is not null && targets.Count > 1)
        {
            throw CliException.Usage($"--trace is of one model on one mesh, and there are {string.Join(", ", targets.Select(t => $"{t.Model.Layer.ShortName} {t.On.NestedName}"))}: choose with --model and --mesh");
        }

        SimulatedStep[] steps = [.. targets.Select(t =>
        {
            PlanTarget changed = overrides.Apply(t, set);
            RankProgram program = PlanRunner.Bare(changed, overrides, context.Cancellation);
            return new SimulatedStep(program, StepSimulation.Of(program, changed.On.Mesh, SimulatedTrace.MostDetailed));
        })];
        SimulatedTrace? trace = file is null ? null : SimulatedTrace.Write(file, steps[0], context.Cancellation);
        if (context.Get(s_json))
        {
            string[] documents = [.. steps.Select(s => Json.Line(s.Document(trace)))];
            context.Output.WriteLine(documents.Length == 1 ? documents[0] : "{\"simulations\":[\n" + string.Join(",\n", documents) + "\n]}");
        }
        else
        {
            context.Output.Write(string.Join("\n", steps.Select(s => s.Text(trace))));
        }

        return ExitCodes.Success;
    }
}
