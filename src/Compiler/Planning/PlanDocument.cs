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

    /// <summary>Writes the document as JSON.</summary>
    public static string Write(RankProgram program)
    {
        var json = new StringBuilder();
        json.Append("{\n");
        Line("version", Version.ToString(CultureInfo.InvariantCulture));
        Line("model", Quote(program.Model));
        Line("mesh", Quote(program.MeshName));
        Line("axes", List(program.Axes.Select(a => $"{{\"name\": {Quote(a.Name)}, \"size\": {a.Size}}}")));
        Line("microBatches", program.MicroBatches.ToString(CultureInfo.InvariantCulture));
        Line("stages", "1");
        Line("optimizer", Quote(program.Optimizer));
        Line("flops", program.Stages.Sum(s => Flops(program, s.Entries[0])).ToString(CultureInfo.InvariantCulture));
        Line("totalBytes", program.ArenaBytes.ToString(CultureInfo.InvariantCulture));
        Line("memory", "{" + string.Join(", ", Memory(program, Largest(program)).Select(m => $"{Quote(m.Key.ToString())}: {m.Value}")) + "}");
        Line("parameters", Rows(program.Stages.SelectMany(s => s.Parameters).Select(p =>
            $"{{\"path\": {Quote(p.Path)}, \"layers\": {p.Layers}, \"logical\": {List(p.Logical.Select(Number))}, \"local\": {List(p.Local.Select(Number))}, \"placement\": {Quote(p.Placements.Count == 0 ? "whole" : string.Join(", ", p.Placements.Select(x => $"{x.Axis}: {x.Placement}")))}}}")));
        Line("collectives", Rows(Collectives(program)));
        json.Append("  \"kernels\": ").Append(Rows(program.Kernels.Select(k =>
            $"{{\"name\": {Quote(k.Name)}, \"ops\": {Quote(string.Join(" + ", k.Ops))}, \"flops\": {k.Flops}, \"bytes\": {k.BytesMoved}, \"saved\": {k.BytesSaved}}}"))).Append("\n}");
        return json.ToString();

        void Line(string name, string value) => json.Append("  \"").Append(name).Append("\": ").Append(value).Append(",\n");
    }

    /// <summary>Bytes of a rank's arena by category; they add up to the whole.</summary>
    public static IReadOnlyDictionary<MemoryCategory, long> Memory(RankProgram program, RankPlan rank)
    {
        List<ParameterGroup> groups = rank.Chunks.SelectMany(c => program.Stages[c.Program].Groups).ToList();
        var memory = new SortedDictionary<MemoryCategory, long>
        {
            [MemoryCategory.Parameters] = groups.Sum(g => g.Parameters.Length * 4),
            [MemoryCategory.Gradients] = groups.Sum(g => g.Gradients.Length * 4),
            [MemoryCategory.OptimizerState] = groups.Sum(g => g.States.Sum(s => s.Length * 4)),
            [MemoryCategory.Communication] = rank.ScalarBytes,
            [MemoryCategory.Workspace] = program.ScratchBytesPerThread * program.MaxThreads,
        };
        memory[MemoryCategory.Activations] = rank.ArenaBytes - memory.Values.Sum();
        return memory;
    }

    private static long Flops(RankProgram program, EntryPlan entry) => entry.MicroBatches * entry.Main.OfType<ProgramStatement.Call>()
        .Sum(call => Math.Max(1, call.Layers) * entry.Methods[call.Method].Statements.OfType<ProgramStatement.Run>().Sum(run => program.Kernels[run.Kernel].Flops));

    /// <summary>The rank class with the largest arena.</summary>
    public static RankPlan Largest(RankProgram program) => program.Ranks.OrderByDescending(r => r.ArenaBytes).First();

    private static IEnumerable<string> Collectives(RankProgram program) => program.Stages.SelectMany(s => Collectives(s));

    private static IEnumerable<string> Collectives(StageProgram stage)
    {
        EntryPlan train = stage.Entries[0];
        foreach (ProgramStatement.Call call in train.Main.OfType<ProgramStatement.Call>())
        {
            MethodPlan method = train.Methods[call.Method];
            foreach (ProgramStatement.Start start in method.Statements.OfType<ProgramStatement.Start>())
            {
                yield return Row(start.Kind.ToString(), string.Join("+", start.Axes), start.Bytes, (long)train.MicroBatches * Math.Max(1, call.Layers), method.Name, start.Reason);
            }
        }

        foreach (ParameterGroup group in stage.Groups)
        {
            foreach (string axis in group.ReduceAxes)
            {
                yield return Row("AllReduce", axis, group.Bytes / group.ReduceAxes.Count, 1, "ReduceGradients", $"gradients, {group.Name}");
            }
        }
    }

    private static string Row(string op, string axis, long bytes, long times, string where, string reason) =>
        $"{{\"op\": {Quote(op)}, \"axis\": {Quote(axis)}, \"bytesPerRank\": {bytes}, \"times\": {times}, \"where\": {Quote(where)}, \"reason\": {Quote(reason)}}}";

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
