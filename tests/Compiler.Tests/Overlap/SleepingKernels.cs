using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Overlap;

/// <summary>Puts sleeps in the place of the emitted kernels: each takes the time that the plan predicts for it, and no processor, so that few cores hold many ranks. All else stays as it was emitted.</summary>
public static partial class SleepingKernels
{
    /// <summary>Called by the rewritten kernels.</summary>
    public static void Sleep(double seconds)
    {
        long until = System.Diagnostics.Stopwatch.GetTimestamp() + (long)(seconds * System.Diagnostics.Stopwatch.Frequency);
        while (until - System.Diagnostics.Stopwatch.GetTimestamp() is var left and > 0)
        {
            double milliseconds = left * 1000.0 / System.Diagnostics.Stopwatch.Frequency;
            if (milliseconds > 1.5)
            {
                Thread.Sleep((int)(milliseconds - 0.5));
            }
            else
            {
                Thread.Yield();
            }
        }
    }

    /// <summary>Rewrites the file with the kernels of a mesh.</summary>
    /// <param name="file">The emitted file.</param>
    /// <param name="program">The plan.</param>
    /// <param name="device">Its device.</param>
    internal static SyntaxNode Rewrite(SyntaxNode file, RankProgram program, DeviceDefinition device)
    {
        var seconds = program.Kernels.Select((k, i) => (k.Name, Text: Text(program.Forecast.KernelSeconds[i]))).ToDictionary(k => k.Name, k => k.Text);

        // Work on parameters and gradients takes so much an element: on a device without launches and efficiency tables.
        double Each(double flops, double bytes) => OpTime.Seconds(device, Machine.WorkKind.Elementwise, 1e6 * flops, 1e6 * bytes, Arithmetic.Float32) / 1e6;
        Assert.Equal(0, device.LaunchMicroseconds);
        Assert.Empty(device.Efficiencies);
        seconds["Accumulate"] = $"{Text(Each(1, 12))} * gradient.Length";
        seconds["Clear"] = "0";
        seconds["SumOfSquares"] = $"{Text(Each(2, 4))} * gradient.Length";
        seconds["AdamW"] = $"{Text(Each(12, 28))} * parameters.Length";
        StructDeclarationSyntax kernels = file.DescendantNodes().OfType<StructDeclarationSyntax>().Single(s => s.Identifier.Text == "CpuKernels");
        List<MethodDeclarationSyntax> methods = [.. kernels.Members.OfType<MethodDeclarationSyntax>().Where(m => m.Modifiers.Any(SyntaxKind.PublicKeyword))];
        Assert.All(program.Kernels, k => Assert.Contains(methods, m => m.Identifier.Text == k.Name));
        return file.ReplaceNodes(methods, (_, method) =>
        {
            string name = method.Identifier.Text, sleep = $"{typeof(SleepingKernels).FullName}.{nameof(Sleep)}({seconds[name]})";
            string returns = method.ReturnType.ToString() == "void" ? "" : " return default;";
            return method.WithExpressionBody(null).WithSemicolonToken(default).WithBody((BlockSyntax)SyntaxFactory.ParseStatement($$"""{ using var span = TraceSpan.Kernel(trace, "{{name}}"); {{sleep}};{{returns}} }"""));
        });
    }

    /// <summary>In a table of a pipeline's actions, receives that are posted where they are waited for: then nothing travels beside an action.</summary>
    internal static string PostLate(string rank) => Posts().Replace(rank, "").Replace("WAIT_RECV_", "\u0001", StringComparison.Ordinal) is var without ? Waits().Replace(without, "${stage}RECV_${rest} ${stage}WAIT_RECV_${rest}") : rank;

    private static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"(?<=\s)\d+RECV_[FB]\d+ ?")]
    private static partial Regex Posts();

    [GeneratedRegex("(?<stage>\\d+)\u0001(?<rest>[FB]\\d+)")]
    private static partial Regex Waits();
}
