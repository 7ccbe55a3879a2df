using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Cli.Ops;

/// <summary>The table of every signature in docs/ops.md, from the catalogue's examples.</summary>
internal static class SignatureTable
{
    private const int Parts = 2;

    /// <summary>Writes it.</summary>
    public static void Write(TextWriter output)
    {
        output.WriteLine("| op | example | signatures on an axis of 2, beside all B |");
        output.WriteLine("|---|---|---|");
        foreach (OpProgram program in OpCatalogue.Entries.Select(e => new OpProgram(e.Name, e.SampleInputs, [(e.Sample, [.. Enumerable.Range(0, e.SampleInputs.Count)])]))
            .Concat(LanguageOps.All.Select(o => o.Program(o.Example, []))))
        {
            OperandTypes types = program.Types();
            var signatures = program.Judge(Parts).Where(j => j.IsValid && !j.Signature.Inputs.Concat(j.Signature.Outputs).All(p => p.IsBroadcast))
                .Select(j => (j.Signature.Inputs.Count > 0 ? string.Join(", ", j.Signature.Inputs) + " → " : "→ ") + string.Join(", ", j.Signature.Outputs) + (j.Signature.Communicates ? " (communicates)" : ""));
            output.WriteLine($"| {program.Name} | {string.Join(", ", types.Inputs)} → {string.Join(", ", types.Outputs)} | {string.Join("; ", signatures)} |");
        }
    }
}
