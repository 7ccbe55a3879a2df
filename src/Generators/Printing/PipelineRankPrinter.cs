using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;
using static Shardwright.Generators.Printing.RankPrinter;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the members of a rank that holds stages of a pipeline: where its stages lie, what it does in which order.</summary>
internal static class PipelineRankPrinter
{
    public static void Members(IndentedWriter w, RankProgram program, PipelinePlan pipeline, bool gpu)
    {
        Actions(w, program, pipeline);
        w.Line($"private static readonly int[] rankOfStage = {{ {string.Join(", ", pipeline.RankOfStage)} }};");
        w.Line($"private static readonly long[] arenaBytes = {{ {string.Join(", ", program.Ranks.Select(r => Text.Number(r.ArenaBytes)))} }};");
        w.Line($"private static readonly long[] scalarsAt = {{ {string.Join(", ", program.Ranks.Select(r => Text.Number(r.ScalarOffset)))} }};");
        w.Line($"private static readonly long[] scratchAt = {{ {string.Join(", ", program.Ranks.Select(r => Text.Number(r.ScratchOffset)))} }};");
        w.Line($"private static readonly long[] stepAt = {{ {string.Join(", ", program.Ranks.Select(r => Text.Number(r.StepOffset)))} }};");
        w.Line("private readonly int pipelineIndex;");
        w.Line("private readonly IStage[] stages;");
        w.Line("private readonly PipelineExecutor executor;");
        w.Line("private readonly Batch batch = new();");
        if (program.Spans)
        {
            w.Line("private readonly PipelineTurn turn = new();");
        }

        w.Line($"private readonly ProcessGroup pipelineGroup;");
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            w.Line($"private readonly ProcessGroup? tiedGroup{i};");
            w.Line($"private readonly Slice<{Text.Element(program.GradientElement)}>[] tiedGradients{i};");
        }

        GroupFields(w, program);
        w.Line();
        ConstructorDocs(w);
        w.Line($"public {RankType(gpu)}(RankContext rank, ulong seed)");
        string at = $"[rank.Coordinate({Text.String(pipeline.Axis)})]";
        w.Line($"    : base(rank, seed, arenaBytes{at}, scratchAt{at}, {program.MaxThreads}, new Slice<double>(scalarsAt{at}, {program.Ranks[0].ScalarBytes / 8}), AllParameters(rank), {LossSetCount(program)}, {Text.Number(program.Forecast.UsableBytes)})");
        w.Open();
        w.Line($"pipelineIndex = rank.Coordinate({Text.String(pipeline.Axis)});");
        w.Line($"pipelineGroup = rank.Group({Text.String(pipeline.Axis)});");
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            string ranks = string.Join(", ", pipeline.Tied[i].Ranks);
            w.Line(pipeline.Tied[i].Ranks.Count < 2 ? $"tiedGroup{i} = null;"
                : $"tiedGroup{i} = pipelineIndex is {string.Join(" or ", pipeline.Tied[i].Ranks)} ? rank.GroupAt({Text.String(pipeline.Axis)}, {ranks}) : null; // {pipeline.Tied[i].Path}");
        }

        BindGroups(w, program);
        w.Line($"var kernels = {Kernels(program, gpu)};");
        w.Line($"stages = Stages(this, Arena, kernels, batch, {(program.Spans ? "turn, " : "")}pipelineIndex);");
        w.Line($"var all = new IPipelineStage?[{pipeline.Stages}];");
        w.Open("for (int i = 0; i < stages.Length; i++)");
        w.Line("all[StagesOf(pipelineIndex)[i]] = stages[i];");
        w.Close();
        w.Line();
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            w.Line($"tiedGradients{i} = stages.Select(s => s.TiedGradient({i})).Where(s => s.Length > 0).ToArray();");
        }

        w.Line($"executor = new PipelineExecutor(Arena, rank, pipelineGroup, all, rankOfStage, {program.MicroBatches}, {program.PassingTensors}{(program.Spans ? ", turn" : "")});");
        w.Close();
        w.Line();
        Places(w, program, KernelsType(gpu));
    }

    private static void Actions(IndentedWriter w, RankProgram program, PipelinePlan pipeline)
    {
        w.Line($"// {pipeline.Schedule}, {pipeline.Stages} stages on {pipeline.Ranks} ranks, {program.MicroBatches} micro-batches: what each rank does, in order.");
        w.Line("// 0F2 runs stage 0 forward on micro-batch 2 (B backward, I gradient of the inputs, W of the parameters); RECV posts a receive, WAIT_ waits.");
        w.Line("private static readonly PipelineActions[][] actions =");
        w.Line("{");
        for (int rank = 0; rank < program.Ranks.Count; rank++)
        {
            w.Line("    new[]");
            w.Line("    {");
            foreach ((string entry, EquatableArray<string> lines) in program.Ranks[rank].Actions)
            {
                EntryPlan plan = program.Stages[0].Entries.First(e => e.Name == entry);
                w.Line($"        PipelineActions.Parse({EntryPlan.MicroBatchesOfARun(entry, plan.MicroBatches)}, // {pipeline.Axis} = {rank}, {entry}");
                w.Line("            \"\"\"");
                foreach (int stage in program.Ranks[rank].Chunks.Select(c => c.Stage))
                {
                    w.Line($"            stage {stage} Input: 0");
                }

                foreach (string line in lines)
                {
                    w.Line("            " + line);
                }

                w.Line("            \"\"\"),");
            }

            w.Line("    },");
        }

        w.Line("};");
        w.Line();
    }

    private static void Places(IndentedWriter w, RankProgram program, string kernels)
    {
        w.Line("private static readonly StageMemory[][] memory =");
        w.Line("{");
        foreach (RankPlan rank in program.Ranks)
        {
            w.Line("    new[]");
            w.Line("    {");
            foreach (ChunkPlan chunk in rank.Chunks)
            {
                string slots = string.Join(", ", chunk.Spaces.Where(s => s.Entry == "Train" && s.Slots > 0).Select(s => $"{s.Slots} × {s.Space} {Text.Size(s.BlockBytes)}"));
                w.Line($"        new StageMemory({chunk.StateOffset}, {(chunk.FirstLayers.Count == 0 ? "null" : $"new[] {{ {string.Join(", ", chunk.FirstLayers)} }}")}, // stage {chunk.Stage}: {slots}");
                foreach ((string Name, string Text) entry in Entries(chunk))
                {
                    w.Line($"            {entry.Text} // {entry.Name}");
                }
            }

            w.Line("    },");
        }

        w.Line("};");
        w.Line();
        w.Open("private static ParameterSlot[] AllParameters(RankContext rank) => rank.Coordinate(" + Text.String(program.Pipeline!.Axis) + ") switch");
        for (int rank = 0; rank < program.Ranks.Count; rank++)
        {
            IEnumerable<string> parts = program.Ranks[rank].Chunks.Select((c, i) => $"{program.Stages[c.Program].Name}Parameters(rank, memory[{rank}][{i}])");
            w.Line($"{(rank + 1 < program.Ranks.Count ? rank.ToString(System.Globalization.CultureInfo.InvariantCulture) : "_")} => {string.Join(".Concat(", parts)}{string.Concat(parts.Skip(1).Select(_ => ")"))}{(parts.Count() > 1 ? ".ToArray()" : "")},");
        }

        w.Close(";");
        w.Line();
        w.Open("private static int[] StagesOf(int pipelineIndex) => pipelineIndex switch");
        for (int rank = 0; rank < program.Ranks.Count; rank++)
        {
            w.Line($"{(rank + 1 < program.Ranks.Count ? rank.ToString(System.Globalization.CultureInfo.InvariantCulture) : "_")} => new[] {{ {string.Join(", ", program.Ranks[rank].Chunks.Select(c => c.Stage))} }},");
        }

        w.Close(";");
        w.Line();
        w.Open($"private static IStage[] Stages(RankBase rank, Arena arena, {kernels} kernels, Batch batch, {(program.Spans ? "PipelineTurn turn, " : "")}int pipelineIndex) => pipelineIndex switch");
        for (int rank = 0; rank < program.Ranks.Count; rank++)
        {
            IEnumerable<string> parts = program.Ranks[rank].Chunks.Select((c, i) => $"new {program.Stages[c.Program].Name}<{kernels}>(rank, arena, kernels, memory[{rank}][{i}], batch{(program.Spans ? ", turn" : "")})");
            w.Line($"{(rank + 1 < program.Ranks.Count ? rank.ToString(System.Globalization.CultureInfo.InvariantCulture) : "_")} => new IStage[] {{ {string.Join(", ", parts)} }},");
        }

        w.Close(";");
        w.Line();
    }

    /// <summary>For each entry where its actions have their memory, then the blocks of its micro-batches, space by space.</summary>
    private static IEnumerable<(string Name, string Text)> Entries(ChunkPlan chunk)
    {
        string[] names = chunk.Spaces.Select(s => s.Entry).Distinct().ToArray();
        foreach (string name in names)
        {
            IEnumerable<string> steps = new[] { Phase.Forward, Phase.Backward, Phase.InputGradient, Phase.WeightGradient }
                .Select(p => Text.Number(chunk.Steps.Where(s => s.Entry == name && s.Phase == p).Select(s => s.Offset).DefaultIfEmpty(0).First()));
            string spaces = string.Concat(chunk.Spaces.Where(s => s.Entry == name).Select(s => $", new({string.Join(", ", s.Offsets)})"));
            yield return (name, $"new EntryMemory(new long[] {{ {string.Join(", ", steps)} }}{spaces}){(name == names[names.Length - 1] ? ")," : ",")}");
        }
    }

    /// <summary>Gradients of parameters that several stages hold.</summary>
    public static void SumTied(IndentedWriter w, PipelinePlan pipeline)
    {
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            TiedPlan tied = pipeline.Tied[i];
            string condition = tied.Ranks.Count < pipeline.Ranks ? $"if (pipelineIndex is {string.Join(" or ", tied.Ranks)})" : "";
            w.Line($"// {tied.Path} lies on the stages {string.Join(", ", tied.Stages)}: its gradients are summed; {Text.Size(tied.Bytes)} per rank");
            if (condition.Length > 0)
            {
                w.Open(condition);
            }

            w.Line($"SumTied(tiedGradients{i}, tiedGroup{i});");
            if (condition.Length > 0)
            {
                w.Close();
            }

            w.Line();
        }
    }

    /// <summary>The result of a micro-batch travels from the stage that makes it to all ranks. Returns where it is.</summary>
    public static string Result(IndentedWriter w, RankProgram program, PipelinePlan pipeline, EntryPlan entry, bool gpu)
    {
        int rank = pipeline.RankOfStage[pipeline.ResultStage];
        int chunk = program.Ranks[rank].Chunks.ToList().FindIndex(c => c.Stage == pipeline.ResultStage);
        StageProgram stage = program.Stages[program.Ranks[rank].Chunks[chunk].Program];
        DType element = stage.Buffers[stage.Entries.First(e => e.Name == entry.Name).Result!.Buffer].Element;
        long count = pipeline.ResultBytes / BufferPlan.Width(element);
        w.Line($"Slice<{Text.Element(element)}> rows = pipelineIndex == {rank} ? (({stage.Name}<{KernelsType(gpu)}>)stages[{chunk}]).{entry.Name}Result : new(stepAt[pipelineIndex], {count});");
        w.Line($"pipelineGroup.Wait(pipelineGroup.StartBroadcast(Arena, rows, {rank}));");
        return "rows";
    }
}
