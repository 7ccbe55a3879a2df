using System.Globalization;
using System.Text;
using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Planning;

/// <summary>The plan as a document: what generated code embeds and everything else prints. One version, one writer; Shardwright.Plan reads it.</summary>
public static class PlanDocument
{
    /// <summary>Version of the document.</summary>
    public const int Version = 1;

    /// <summary>Most rows of what a rank waits for.</summary>
    private const int MostExposed = 32;

    /// <summary>Writes the document as JSON.</summary>
    public static string Write(RankProgram program) => Write(program, ImmutableArray<WayOut>.Empty);

    /// <summary>Writes it with changes that make it fit.</summary>
    public static string Write(RankProgram program, ImmutableArray<WayOut> waysOut)
    {
        var json = new StringBuilder();
        json.Append("{\n");
        Line("version", Version.ToString(CultureInfo.InvariantCulture));
        Line("model", Quote(program.Model));
        Line("mesh", Quote(program.MeshName));
        Line("axes", List(program.Axes.Select(a => $"{{\"name\": {Quote(a.Name)}, \"size\": {a.Size}}}")));
        Line("microBatches", program.MicroBatches.ToString(CultureInfo.InvariantCulture));
        Line("stages", (program.Pipeline?.Stages ?? 1).ToString(CultureInfo.InvariantCulture));
        Line("schedule", Quote(program.Pipeline?.Schedule ?? ""));
        Line("pipelineAxis", Quote(program.Pipeline?.Axis ?? ""));
        Line("layers", "{" + string.Join(", ", (program.Pipeline?.Layers ?? default).Select(l => $"{Quote(l.Path)}: {List(l.Layers.Select(n => Number(n)))}")) + "}");
        Line("optimizer", Quote(program.Optimizer));
        Line("precision", Quote(program.Precision));
        Line("flops", Number(program.Ranks.Max(r => Flops(program, r))));
        Line("modelFlops", Real(program.Forecast.ModelFlops));
        Line("device", Quote(program.Forecast.Device));
        Line("usableBytes", Number(program.Forecast.UsableBytes));
        Line("stepSeconds", Real(program.Forecast.StepSeconds));
        Line("computeSeconds", Real(program.Forecast.ComputeSeconds));
        Line("communicationSeconds", Real(program.Forecast.CommunicationSeconds));
        Line("exposedSeconds", Real(program.Forecast.ExposedSeconds));
        Line("leastExposedSeconds", Real(program.Forecast.LeastExposedSeconds));
        Line("exposed", Rows(program.Forecast.Exposed.Take(MostExposed).Select(e => $"{{\"op\": {Quote(e.Operation)}, \"axis\": {Quote(e.Axis)}, \"reason\": {Quote(e.For)}, \"seconds\": {Real(e.Seconds)}, \"why\": {Quote(e.Why)}}}")));
        Line("bubble", Real(program.Forecast.Bubble));
        Line("mfu", Real(program.Forecast.Mfu));
        Line("waysOut", Rows(waysOut.Select(w => $"{{\"change\": {Quote(w.Change)}, \"totalBytes\": {w.ArenaBytes}, \"stepSeconds\": {Real(w.StepSeconds)}}}")));
        Line("totalBytes", program.ArenaBytes.ToString(CultureInfo.InvariantCulture));
        Line("lowerBound", Number(Largest(program).LowerBound));
        Line("memory", MemoryText(program, Largest(program)));
        Line("timeline", List(Largest(program).Timeline.Select(p => $"{{\"where\": {Quote(p.Where)}, \"bytes\": {p.Bytes}}}")));
        Line("timing", Timing(program.Forecast.Timing));
        Line("ranks", Rows(program.Ranks.Select((rank, i) =>
            $"{{\"coordinate\": {i}, \"stages\": {List(rank.Chunks.Select(c => Number(c.Stage)))}, \"totalBytes\": {rank.ArenaBytes}, \"lowerBound\": {rank.LowerBound}, \"memory\": {MemoryText(program, rank)}, \"flops\": {Flops(program, rank)}, "
            + $"\"parameters\": {Elements(program, rank)}, \"padding\": {Padding(program, rank)}, \"windows\": {Windows(rank)}, \"collectives\": {List(Collectives(program, rank, i))}}}")));
        Line("parameters", Rows(Parameters(program).Select(p =>
            $"{{\"path\": {Quote(p.Plan.Path)}, \"layers\": {p.Layers}, \"logical\": {List(p.Plan.Logical.Select(Number))}, \"local\": {List(p.Plan.Local.Select(Number))}, \"placement\": {Quote(p.Plan.Placements.Count == 0 ? "whole" : string.Join(", ", p.Plan.Placements.Select(x => $"{x.Axis}: {x.Placement}")))}{(program.Pipeline is null ? "" : $", \"stages\": {List(p.Stages.Select(n => Number(n)))}")}}}")));
        Line("collectives", Rows(Collectives(program)));
        json.Append("  \"kernels\": ").Append(Rows(program.Kernels.Select((k, i) =>
            $"{{\"name\": {Quote(k.Name)}, \"ops\": {Quote(string.Join(" + ", k.Ops))}, \"flops\": {k.Flops}, \"bytes\": {k.BytesMoved}, \"saved\": {k.BytesSaved}, \"seconds\": {Real(i < program.Forecast.KernelSeconds.Count ? program.Forecast.KernelSeconds[i] : 0)}}}"))).Append("\n}");
        return json.ToString();

        void Line(string name, string value) => json.Append("  \"").Append(name).Append("\": ").Append(value).Append(",\n");
    }

    private static string MemoryText(RankProgram program, RankPlan rank) => "{" + string.Join(", ", Memory(program, rank).Select(m => $"{Quote(m.Key.ToString())}: {m.Value}")) + "}";

    private static string Timing(PlanTiming? timing)
    {
        static string Parts(WorkTime time) => $"[{Real(time.Compute)}, {Real(time.Communication)}]";
        return $"{{\"links\": {List((timing?.Links ?? default).Select(l => $"{{\"axis\": {Quote(l.Axis)}, \"name\": {Quote(l.Name)}, \"latency\": {Real(l.LatencySeconds)}, \"rate\": {Real(l.BytesPerSecond)}}}"))}, "
            + $"\"stages\": {List((timing?.Stages ?? default).Select(s => $"{{\"forward\": {Parts(s.Forward)}, \"input\": {Parts(s.Input)}, \"weight\": {Parts(s.Weight)}, \"update\": {Parts(s.Update)}, \"sends\": {s.Sends}, \"returns\": {s.Returns}}}"))}, "
            + $"\"order\": {List((timing?.Order ?? default).Select(Quote))}}}";
    }

    /// <summary>Parameters of the model, each once, with the layers of all stages, and these.</summary>
    private static IEnumerable<(ParameterPlan Plan, int Layers, IEnumerable<int> Stages)> Parameters(RankProgram program) => program.Ranks.SelectMany(r => r.Chunks).OrderBy(c => c.Stage)
        .SelectMany(c => program.Stages[c.Program].Parameters.Select(p => (Plan: p, c.Stage))).GroupBy(p => p.Plan.Path).Select(g => (g.First().Plan, g.Sum(p => p.Plan.Layers), g.Select(p => p.Stage).Distinct()));

    /// <summary>Bytes of a rank's arena by category; they add up to the whole.</summary>
    public static IReadOnlyDictionary<MemoryCategory, long> Memory(RankProgram program, RankPlan rank)
    {
        long Kept(Func<ParameterGroup, long> elements, Func<ParameterGroup, OperandPlan?> like) => rank.Chunks.Select(c => program.Stages[c.Program])
            .Sum(stage => stage.Groups.Sum(g => like(g) is { } operand ? elements(g) * BufferPlan.Width(stage.Buffers[operand.Buffer].Element) : 0));
        var memory = new SortedDictionary<MemoryCategory, long>
        {
            [MemoryCategory.Parameters] = Kept(g => g.ParameterElements, g => g.Parameters),
            [MemoryCategory.Gradients] = Kept(g => g.GradientElements, g => g.Gradients),
            [MemoryCategory.OptimizerState] = Kept(g => g.StateElements, g => g.States.FirstOrDefault()),
            [MemoryCategory.Communication] = rank.ScalarBytes + Covered(rank.Chunks.SelectMany(c => c.Spaces).Where(s => s.Entry == "Train" && s.Space is not (MemorySpace.Kept or MemorySpace.Deferred or MemorySpace.Gathered or MemorySpace.Summed))),
            [MemoryCategory.Workspace] = program.ScratchBytesPerThread * program.MaxThreads,
        };
        memory[MemoryCategory.Activations] = rank.ArenaBytes - memory.Values.Sum();
        return memory;
    }

    /// <summary>Bytes of parameters, gradients and optimizer state that belong to no tensor: they keep tensors and shards at cache lines. The mean of the ranks that hold one shard each.</summary>
    public static long Padding(RankProgram program, RankPlan rank)
    {
        long Of(StageProgram stage, ParameterGroup group, long held, OperandPlan? like) => like is null ? 0
            : (long)((double)held * group.Padding * BufferPlan.Width(stage.Buffers[like.Buffer].Element) / (group.Elements + group.Padding));
        return rank.Chunks.Select(c => program.Stages[c.Program]).Sum(stage => stage.Groups.Sum(g =>
            Of(stage, g, g.ParameterElements, g.Parameters) + Of(stage, g, g.GradientElements, g.Gradients) + Of(stage, g, g.StateElements, g.States.FirstOrDefault())));
    }

    /// <summary>Bytes of windows of parameters and gradients that live from one action of a rank to the next.</summary>
    public static long Windows(RankPlan rank) => Covered(rank.Chunks.SelectMany(c => c.Spaces).Where(s => s.Space is MemorySpace.Gathered or MemorySpace.Summed));

    /// <summary>Bytes that blocks take; what they share counts once.</summary>
    private static long Covered(IEnumerable<SlotPlan> spaces)
    {
        long covered = 0, end = 0;
        foreach ((long offset, long bytes) in spaces.SelectMany(s => s.Offsets.Select(o => (o, s.BlockBytes))).OrderBy(b => b.o))
        {
            covered += Math.Max(0, offset + bytes - Math.Max(end, offset));
            end = Math.Max(end, offset + bytes);
        }

        return covered;
    }

    /// <summary>Elements of parameters that a rank holds.</summary>
    private static long Elements(RankProgram program, RankPlan rank) => rank.Chunks.SelectMany(c => program.Stages[c.Program].Parameters)
        .Sum(p => Math.Max(1, p.Layers) * p.Local.Aggregate(1L, (product, size) => product * size));

    private static long Flops(RankProgram program, RankPlan rank) => rank.Chunks.Sum(c => Flops(program, program.Stages[c.Program].Entries[0]));

    private static long Flops(RankProgram program, EntryPlan entry) => entry.MicroBatches * entry.Main.OfType<ProgramStatement.Call>()
        .Sum(call => Math.Max(1, call.Layers) * entry.Methods[call.Method].Statements.OfType<ProgramStatement.Run>().Sum(run => program.Kernels[run.Kernel].Flops));

    /// <summary>The rank class with the largest arena.</summary>
    public static RankPlan Largest(RankProgram program) => program.Ranks.OrderByDescending(r => r.ArenaBytes).First();

    private static IEnumerable<string> Collectives(RankProgram program) => program.Ranks.SelectMany(r => r.Chunks).OrderBy(c => c.Stage).SelectMany(c => Collectives(program, c))
        .Concat(Tied(program).Select(t => Row(program, t)));

    /// <summary>Those that one rank takes part in.</summary>
    private static IEnumerable<string> Collectives(RankProgram program, RankPlan rank, int coordinate) => rank.Chunks.SelectMany(c => Collectives(program, c))
        .Concat(Tied(program).Where(t => t.Ranks.Contains(coordinate)).Select(t => Row(program, t)));

    private static IEnumerable<TiedPlan> Tied(RankProgram program) => (program.Pipeline?.Tied ?? default).Where(t => t.Ranks.Count > 1);

    private static string Row(RankProgram program, TiedPlan tied) =>
        Row("AllReduce", program.Pipeline!.Axis, tied.Bytes, 1, tied.Path, "TrainStep", $"{tied.Path} lies on the stages {string.Join(", ", tied.Stages)}");

    private static IEnumerable<string> Collectives(RankProgram program, ChunkPlan chunk)
    {
        StageProgram stage = program.Stages[chunk.Program];
        string prefix = program.Pipeline is null ? "" : $"stage {chunk.Stage} ";
        EntryPlan train = stage.Entries[0];
        foreach ((string where, ProgramStatement.Start start, long times) in chunk.Collectives(stage).Where(c => c.Start.Chunk == 0))
        {
            // Chunks of a sum are alike, and one row.
            yield return Row(start.Kind.ToString(), string.Join("+", start.Axes), start.Bytes, times * start.Chunks, stage.Buffers[start.Source.Buffer].Name, prefix + where, start.Reason, start.Work, start.Chunks);
        }

        foreach (BoundaryPlan sent in train.Boundaries.Where(b => !b.Arrives && (b.IsGradient ? chunk.Previous : chunk.Next) != program.Pipeline!.RankOfStage[chunk.Stage]))
        {
            yield return Row("Send", program.Pipeline!.Axis, sent.Bytes, train.MicroBatches, stage.Buffers[sent.Operand.Buffer].Name, prefix.Trim(), $"{sent.Comment}, to stage {chunk.Stage + (sent.IsGradient ? -1 : 1)}");
        }

        foreach (ParameterGroup group in stage.Groups)
        {
            foreach (ReductionPlan reduction in group.Reductions)
            {
                yield return Row(reduction.Kind.ToString(), reduction.Axis, reduction.Bytes, group.Buckets, "gradients", prefix + "ReduceGradients", $"gradients, {group.Name}");
            }

            if (group.Shards is { Stage: < 3 } shards)
            {
                yield return Row("AllGather", shards.Axis, shards.GatherBytes, shards.Buckets, "parameters", prefix + "Update", $"parameters, {group.Name}");
            }
        }
    }

    private static string Row(string op, string axis, long bytes, long times, string tensor, string where, string reason, string beside = "", int chunks = 1) =>
        $"{{\"op\": {Quote(op)}, \"axis\": {Quote(axis)}, \"bytesPerRank\": {bytes}, \"times\": {times}, \"tensor\": {Quote(tensor)}, \"where\": {Quote(where)}, \"reason\": {Quote(reason)}, \"beside\": {Quote(beside)}{(chunks > 1 ? $", \"chunks\": {chunks}" : "")}}}";

    /// <summary>A prediction has no more digits than it deserves, and the same on every machine.</summary>
    private static string Real(double value) => value.ToString("G6", CultureInfo.InvariantCulture);

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string List(IEnumerable<string> items) => "[" + string.Join(", ", items) + "]";

    private static string Rows(IEnumerable<string> items)
    {
        string rows = string.Join(",\n    ", items);
        return rows.Length == 0 ? "[]" : "[\n    " + rows + "\n  ]";
    }

    private static string Quote(string text)
    {
        var result = new StringBuilder("\"");
        foreach (char c in text)
        {
            result.Append(c switch { '"' => "\\\"", '\\' => "\\\\", '\n' => "\\n", '\r' => "\\r", '\t' => "\\t", < ' ' => " ", _ => c.ToString() });
        }

        return result.Append('"').ToString();
    }
}
