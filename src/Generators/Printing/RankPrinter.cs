using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Prints what a user touches: Mesh, Plan and Rank.</summary>
internal static class RankPrinter
{
    public static string PrintPlan(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "mesh and plan");
        shell.Open(w);
        w.Summary($"{program.Model} on {program.MeshName}: {Text.Mesh(program)}.");
        w.Open($"public static partial class {program.NestedName}");
        w.Line("private static global::Shardwright.Plan? plan;");
        w.Line();
        w.Summary("The mesh.");
        string axes = string.Concat(program.Axes.Select(a => $", new global::Shardwright.MeshAxisInfo({Text.String(a.Name)}, {a.Size})"));
        w.Line($"public static global::Shardwright.Mesh Mesh {{ get; }} = new({Text.String(program.MeshName)}{axes});");
        w.Line();
        w.Summary("What the compiler decided: memory, collectives, placements, kernels.");
        w.Line("public static global::Shardwright.Plan Plan => plan ??= global::Shardwright.Plan.Parse(Document);");
        w.Line();
        w.Line("private const string Document =");
        w.Line("    \"\"\"");
        foreach (string line in PlanDocument.Write(program).Split('\n'))
        {
            w.Line("    " + line);
        }

        w.Line("    \"\"\";");
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    /// <param name="gpu">The rank on accelerators, beside the one on the host.</param>
    public static string PrintRank(RankProgram program, TypeShell shell, bool gpu = false)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, gpu ? "the rank that a user holds, on an accelerator" : "the rank that a user holds");
        w.Line("using System;");
        w.Line("using System.Linq;");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        if (gpu)
        {
            w.Line("using Shardwright.Gpu;");
        }

        w.Line("using Shardwright.Worlds;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        if (program.Pipeline is not null && (!gpu || !program.RunsOnHost))
        {
            PipelinePrinter.Shared(w, program);
        }

        string most = program.ArenaBytes.ToString("N0", System.Globalization.CultureInfo.InvariantCulture);
        w.Summary($"One rank of {program.Model} on {program.MeshName}{(gpu ? ", on an accelerator" : "")}: parameters, gradients, optimizer state and activations in one allocation of {(program.Ranks.Count > 1 ? "at most " : "")}{most} bytes.");
        w.Open($"public sealed class {RankType(gpu)} : RankBase");
        if (program.Pipeline is { } pipeline)
        {
            PipelineRankPrinter.Members(w, program, pipeline, gpu);
        }
        else
        {
            Members(w, program, gpu);
        }

        foreach (StageProgram stage in program.Stages)
        {
            Slots(w, program, stage);
        }

        w.Summary("The plan that this rank runs.");
        w.Line($"public override global::Shardwright.Plan Plan => {program.NestedName}.Plan;");
        w.Line();
        foreach (EntryPlan entry in program.Stages[0].Entries)
        {
            switch (entry.Name)
            {
                case "Train":
                    TrainStep(w, program, entry);
                    break;
                case "Evaluate":
                    Evaluate(w, program, entry);
                    break;
                default:
                    Forward(w, program, entry, gpu);
                    break;
            }
        }

        Update(w, program);
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    private static void Members(IndentedWriter w, RankProgram program, bool gpu)
    {
        string kernels = KernelsType(gpu);
        StageProgram stage = program.Stages[0];
        RankPlan rank = program.Ranks[0];
        w.Line($"private static readonly StageMemory memory = new({rank.Chunks[0].StateOffset}, {rank.StepOffset});");
        w.Line($"private readonly {stage.Name}<{kernels}> stage0;");
        GroupFields(w, program);
        w.Line();
        ConstructorDocs(w);
        w.Line($"public {RankType(gpu)}(RankContext rank, ulong seed)");
        w.Line($"    : base(rank, seed, {rank.ArenaBytes}, {rank.ScratchOffset}, {program.MaxThreads}, new Slice<double>({rank.ScalarOffset}, {rank.ScalarBytes / 8}), {stage.Name}Parameters(rank, memory), {LossSetCount(program)}, {Text.Number(program.Forecast.UsableBytes)})");
        w.Open();
        BindGroups(w, program);
        w.Line($"stage0 = new {stage.Name}<{kernels}>(this, Arena, {Kernels(program, gpu)}, memory);");
        w.Close();
        w.Line();
    }

    /// <summary>Name of the rank's class.</summary>
    public static string RankType(bool gpu) => gpu ? "IlgpuRank" : "Rank";

    /// <summary>Name of its kernels' struct.</summary>
    public static string KernelsType(bool gpu) => gpu ? "IlgpuKernels" : "CpuKernels";

    public static void ConstructorDocs(IndentedWriter w)
    {
        w.Summary("Allocates the rank's memory and fills its parameters.");
        w.Line("/// <param name=\"rank\">The rank in its world.</param>");
        w.Line("/// <param name=\"seed\">Seed of parameters and dropout: the same on every rank.</param>");
    }

    public static string Kernels(RankProgram program, bool gpu = false) => $"new {(gpu ? "IlgpuKernels(DeviceArena.Of(Arena, rank)" : "CpuKernels(Arena, Team")}, Random, {(program.ScalesLoss ? "Scaling, " : "")}rank.Trace{string.Concat(program.Axes.Select(a => $", rank.Coordinate({Text.String(a.Name)})"))})";

    public static int LossSetCount(RankProgram program) => program.Stages.SelectMany(s => s.Entries).Max(e => program.LossSets(e.Name).Count);

    public static void GroupFields(IndentedWriter w, RankProgram program)
    {
        foreach (string[] set in GroupSets(program))
        {
            w.Line($"private readonly ProcessGroup {Text.Group(set)};");
        }
    }

    public static void BindGroups(IndentedWriter w, RankProgram program)
    {
        foreach (string[] set in GroupSets(program))
        {
            w.Line($"{Text.Group(set)} = rank.Group({string.Join(", ", set.Select(Text.String))});");
        }
    }

    /// <summary>Axes that a scalar is summed over: those that split it, and the pipeline, whose stages each have a part.</summary>
    private static string[] Over(RankProgram program, EquatableArray<string> axes) =>
        program.Pipeline is { } pipeline ? program.Axes.Select(a => a.Name).Where(a => axes.Contains(a) || a == pipeline.Axis).ToArray() : axes.ToArray();

    /// <summary>Sets of axes that scalars are summed over.</summary>
    private static IEnumerable<string[]> GroupSets(RankProgram program) =>
        program.Stages.SelectMany(s => s.Entries).Select(e => e.Name).Distinct().SelectMany(e => program.LossSets(e)).Concat(program.NormSets).Select(s => Over(program, s)).Where(s => s.Length > 0).GroupBy(Text.Group).Select(g => g.First());

    private static void Slots(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        w.Open($"private static ParameterSlot[] {stage.Name}Parameters(RankContext rank, StageMemory at)");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"int {Text.Index(name)} = rank.Coordinate({Text.String(name)});");
        }

        w.Line("return new ParameterSlot[]");
        w.Line("{");
        foreach (ParameterPlan p in stage.Parameters)
        {
            string Stack(int id, bool bits = false)
            {
                BufferPlan b = stage.Buffers[id];
                return $"at.State<{(bits ? "ushort" : Text.Element(b.Element))}>({b.Offset}, {b.Length}, {b.Stride}, {b.Slots})";
            }

            string Items(string type, IEnumerable<string> items) => items.Any() ? $"new {type}[] {{ {string.Join(", ", items)} }}" : $"Array.Empty<{type}>()";
            string Longs(IEnumerable<string> items) => Items("long", items);
            // In bf16 and fp16 the value is what the optimizer keeps, and what kernels read is its rounding.
            bool narrow = !program.RunsOnHost, narrowGradient = program.GradientElement != DType.Float32;
            string States(ParameterPlan parameter) => Items("StateSlot", parameter.States.Skip(narrow ? 1 : 0).Select(s => $"new({Text.String(s.Name)}, {Stack(s.Buffer)})"));
            string Replicas(ParameterPlan parameter) => Items("string", parameter.Placements.Where(x => x.Placement.IsBroadcast).Select(x => Text.String(x.Axis)));
            w.Line($"    new({Text.String(p.Path)}, {Stack(narrow ? p.States[0].Buffer : p.Value)}, {(narrowGradient ? "default" : Stack(p.Gradient))}, {States(p)}, {Replicas(p)}, {Longs(p.Logical.Select(Text.Number))}, {Longs(p.Local.Select(Text.Number))}, {Longs(p.Start.Select(Text.Offset))}, \"{p.Init.Kind}\", {Text.Float(p.Init.A)}, {Text.Float(p.Init.B)}{FirstLayer(stage, p)}{Shard(program, stage, p)}{(narrow ? $", Narrow: new(NumberFormat.{program.ParameterElement}, {Stack(p.Value, bits: true)}, {(narrowGradient ? Stack(p.Gradient, bits: true) : "null")}, {Text.Bool(stage.Groups[p.Group].Shards is { Stage: > 2 })})" : "")}),");
        }

        w.Line("};");
        w.Close();
        w.Line();
    }

    private static string FirstLayer(StageProgram stage, ParameterPlan parameter)
    {
        int stack = stage.Stacks.ToList().FindIndex(s => s.Id == parameter.Stack);
        return stack < 0 ? "" : $", at.FirstLayer({stack})";
    }

    private static string Shard(RankProgram program, StageProgram stage, ParameterPlan parameter) => stage.Groups[parameter.Group].Shards is { } shards
        ? $", Shard: new({Text.String(shards.Axis)}, {Text.Index(shards.Axis)}, {shards.Share}, {parameter.At}, {parameter.LayerStep}, {Text.Bool(shards.Stage > 1)}, {Text.Bool(shards.Stage > 2 || !program.RunsOnHost)})"
        : "";

    private static void Loop(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        if (program.Pipeline is not null)
        {
            Batch(w, entry);
            w.Line($"executor.Run(PipelineEntry.{entry.Name}, actions[pipelineIndex][(int)PipelineEntry.{entry.Name}]);");
            return;
        }

        w.Open($"for (int microBatch = 0; microBatch < {entry.MicroBatches}; microBatch++)");
        Stage(w, entry);
        w.Close();
    }

    private static void Batch(IndentedWriter w, EntryPlan entry)
    {
        foreach (InputPlan input in entry.Inputs)
        {
            w.Line($"batch.@{input.Name} = {Text.Input(input.Name)};");
        }
    }

    private static void Stage(IndentedWriter w, EntryPlan entry) => w.Line($"stage0.{entry.Name}({string.Concat(entry.Inputs.Select(i => Text.Input(i.Name) + ", "))}microBatch);");

    /// <summary>What is not kept from step to step holds nothing at the start of one.</summary>
    private static void Poison(IndentedWriter w, RankProgram program)
    {
        if (program.PoisonsMemory)
        {
            string Of(Func<RankPlan, long> number) => program.Pipeline is null ? Text.Number(number(program.Ranks[0])) : $"(pipelineIndex switch {{ {string.Join(", ", program.Ranks.Select((r, i) => $"{(i + 1 < program.Ranks.Count ? Text.Number(i) : "_")} => {Text.Number(number(r))}"))} }})";
            w.Line($"Poison(new Slice<byte>({Of(r => r.StateBytes)}, {Of(r => r.ArenaBytes - r.StateBytes)}));");
        }
    }

    private static void Docs(IndentedWriter w, EntryPlan entry)
    {
        foreach (InputPlan input in entry.Inputs)
        {
            w.Line($"/// <param name=\"{Text.Input(input.Name).Substring(1)}\">[{string.Join(", ", input.Logical)}], the whole batch on every rank; each reads its own rows.</param>");
        }
    }

    private static void Losses(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        EquatableArray<EquatableArray<string>> sets = program.LossSets(entry.Name);
        bool weighted = program.Stages.SelectMany(s => s.Entries).SelectMany(e => e.Methods).SelectMany(m => m.Statements).OfType<ProgramStatement.AddLoss>().Any(l => l.IntoWeight);
        w.Line("double lossSum = 0, weight = 0;");
        for (int i = 0; i < sets.Count; i++)
        {
            w.Line($"(double sum{i}, double weight{i}) = Loss({i}, {(Over(program, sets[i]).Length == 0 ? "null" : Text.Group(Over(program, sets[i])))});");
            w.Line($"lossSum += sum{i};");
            w.Line($"weight += weight{i};");
        }

        if (!weighted)
        {
            w.Line("weight = 1;");
        }
    }

    private static void TrainStep(IndentedWriter w, RankProgram program, EntryPlan train)
    {
        w.Summary("One optimizer step on a batch: forward and backward for each micro-batch, gradients reduced once, one update. Allocates nothing.");
        Docs(w, train);
        w.Line("/// <param name=\"settings\">Learning rate and its kin.</param>");
        w.Line("/// <returns>Loss, weight and gradient norm: the same on every rank.</returns>");
        w.Open($"public StepResult TrainStep({StagePrinter.Parameters(train)}{(train.Inputs.Count > 0 ? ", " : "")}{program.Optimizer}Settings settings)");
        w.Line(program.ScalesLoss ? "BeginScaled(settings.LossScaling);" : "Begin(training: true);");
        Poison(w, program);
        Loop(w, program, train);
        if (program.Pipeline is { } pipeline)
        {
            w.Open("foreach (IStage stage in stages)");
            w.Line("stage.ReduceGradients();");
            w.Close();
            w.Line();
            PipelineRankPrinter.SumTied(w, pipeline);
        }
        else
        {
            w.Line("stage0.ReduceGradients();");
        }

        Losses(w, program, train);
        w.Line("(double norm, bool skipped) = Update(weight, settings);");
        w.Line("return End(lossSum, weight, norm, skipped);");
        w.Close();
        w.Line();
    }

    private static void Evaluate(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        w.Summary("The loss of a batch, dropout off; nothing is trained.");
        Docs(w, entry);
        w.Open($"public StepResult Evaluate({StagePrinter.Parameters(entry)})");
        w.Line("Begin(training: false);");
        Poison(w, program);
        Loop(w, program, entry);
        Losses(w, program, entry);
        w.Line("return new StepResult(lossSum, weight, 0, false);");
        w.Close();
        w.Line();
    }

    private static void Forward(IndentedWriter w, RankProgram program, EntryPlan entry, bool gpu)
    {
        w.Summary($"The inference entry: [{string.Join(", ", entry.ResultDims)}], whole on every rank{(entry.MicroBatches > 1 ? $"; made in {entry.MicroBatches} micro-batches, one after another" : "")}.");
        Docs(w, entry);
        w.Open($"public Tensor Forward({StagePrinter.Parameters(entry)})");
        w.Line("Begin(training: false);");
        Poison(w, program);
        w.Line($"var result = new float[{Text.Number(entry.ResultDims.Aggregate(1L, (product, size) => product * size))}];");
        if (program.Pipeline is not null)
        {
            Batch(w, entry);
        }

        w.Open($"for (int microBatch = 0; microBatch < {entry.MicroBatches}; microBatch++)");
        string rows;
        if (program.Pipeline is { } pipeline)
        {
            w.Line($"executor.Run(PipelineEntry.{entry.Name}, actions[pipelineIndex][(int)PipelineEntry.{entry.Name}], microBatch);");
            rows = PipelineRankPrinter.Result(w, program, pipeline, entry, gpu);
        }
        else
        {
            Stage(w, entry);
            rows = $"stage0.{entry.Name}Result";
        }

        w.Line($"Read({rows}, result, microBatch);");
        w.Close();
        w.Line();
        w.Line($"return Tensor.Of(result{string.Concat(entry.ResultDims.Select(d => ", " + d))});");
        w.Close();
        w.Line();
    }

    private static void Update(IndentedWriter w, RankProgram program)
    {
        w.Summary("Global norm, clipping and the optimizer.");
        w.Open($"private (double Norm, bool Skipped) Update(double weight, {program.Optimizer}Settings settings)");
        w.Line(program.NormSets.Count == 0 ? "WideSum squares = default;" : "WideSum squares = default, part;");
        for (int i = 0; i < program.NormSets.Count; i++)
        {
            EquatableArray<string> axes = program.NormSets[i];
            if (program.Pipeline is null)
            {
                w.Line($"part = stage0.SquaredNorm({i});");
            }
            else
            {
                w.Line("part = default;");
                w.Open("foreach (IStage stage in stages)");
                w.Line($"part += stage.SquaredNorm({i});");
                w.Close();
                w.Line();
            }

            string[] over = Over(program, axes);
            if (over.Length > 0)
            {
                w.Line($"part = SumOver({Text.Group(over)}, part); // each rank along {string.Join(", ", over)} holds a part");
            }

            w.Line("squares += part;");
        }

        w.Line($"float scale = GradientScale(squares.Value, weight{(program.ScalesLoss ? " * Scaling.Value" : "")}, settings.ClipNorm, out double norm);");
        if (program.ScalesLoss)
        {
            w.Line("bool skipped = !double.IsFinite(norm) || !(weight > 0);");
            w.Line("EndScaled(squares.Value, skipped);");
        }

        w.Open(program.ScalesLoss ? "if (skipped)" : "if (!double.IsFinite(norm) || !(weight > 0))");
        w.Line("return (norm, true);");
        w.Close();
        w.Line();

        // Steps that were left out do not count for the corrections of moments.
        string step = program.ScalesLoss ? "Step + 1 - Scaling.SkippedSteps" : "Step + 1";
        if (program.Pipeline is null)
        {
            w.Line($"stage0.Update(scale, settings, {step});");
        }
        else
        {
            w.Open("foreach (IStage stage in stages)");
            w.Line($"stage.Update(scale, settings, {step});");
            w.Close();
            w.Line();
        }

        w.Line("return (norm, false);");
        w.Close();
    }
}
