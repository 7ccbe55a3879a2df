using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>bf16 and fp16 are planned and accounted, refused where the device has none, emitted for accelerators, and never run by mistake on the host.</summary>
public sealed class PrecisionTests
{
    private static readonly DeviceDefinition s_large = new("Large", 1L << 50, 1L << 50, 0, 3350, 67, 989.5, 4, 1, Fp16TFlops: 989.5);

    private static RankProgram Gpt(string on, string precision, string zero, params (string, long)[] overrides) =>
        Plans.TinyGpt.Program(on, m => m with { Precision = precision, Zero = zero, Mesh = m.Mesh with { Device = s_large } }, overrides);

    /// <summary>Bytes per parameter of memory-and-cost, n = 2: parameters, gradients, optimizer with its fp32 parameters.</summary>
    [Theory]
    [InlineData("BFloat16Mixed", "None", 2, 2, 12)]
    [InlineData("BFloat16Mixed", "OptimizerState", 2, 2, 6)]
    [InlineData("BFloat16Mixed", "Gradients", 2, 1, 6)]
    [InlineData("BFloat16Mixed", "Parameters", 1, 1, 6)]
    [InlineData("BFloat16MixedFloat32Gradients", "None", 2, 4, 12)]
    [InlineData("BFloat16MixedFloat32Gradients", "OptimizerState", 2, 4, 6)]
    [InlineData("BFloat16MixedFloat32Gradients", "Gradients", 2, 2, 6)]
    [InlineData("BFloat16MixedFloat32Gradients", "Parameters", 1, 2, 6)]
    [InlineData("Float16Mixed", "None", 2, 2, 12)]
    [InlineData("Float16Mixed", "OptimizerState", 2, 2, 6)]
    [InlineData("Float16Mixed", "Gradients", 2, 1, 6)]
    [InlineData("Float16Mixed", "Parameters", 1, 1, 6)]
    [InlineData("Float32", "Parameters", 2, 2, 4)]
    public void ModelStateFollowsTheTable(string precision, string zero, int parameters, int gradients, int state)
    {
        foreach (string on in new[] { "OnDp2", "OnPp2Dp2Tp2" })
        {
            RankProgram program = Gpt(on, precision, zero);
            foreach (RankPlan rank in program.Ranks)
            {
                List<ParameterGroup> groups = [.. rank.Chunks.SelectMany(c => program.Stages[c.Program].Groups)];
                long elements = groups.Sum(g => g.Elements), padding = groups.Sum(g => (g.Shards is { } s ? s.Length * s.Buckets : g.ParameterElements) - g.Elements);
                IReadOnlyDictionary<MemoryCategory, long> memory = PlanDocument.Memory(program, rank);
                Assert.Equal(parameters * (elements + padding), memory[MemoryCategory.Parameters]);
                Assert.Equal(gradients * (elements + padding), memory[MemoryCategory.Gradients]);
                Assert.Equal(state * (elements + padding), memory[MemoryCategory.OptimizerState]);
                Assert.InRange(padding, 0, groups.Sum(g => 64L * g.Buckets));
            }
        }
    }

    [Theory]
    [InlineData("BFloat16Mixed")]
    [InlineData("Float16Mixed")]
    public void ActivationsTakeHalf(string precision)
    {
        long Activations(string of) => PlanDocument.Memory(Gpt("OnSingle", of, "None"), Gpt("OnSingle", of, "None").Ranks[0])[MemoryCategory.Activations];
        Assert.InRange((double)Activations(precision) / Activations("Float32"), 0.5, 0.55);
    }

    /// <summary>What an elementwise kernel reads last it may write over, in every precision.</summary>
    [Theory]
    [InlineData("OnSingle")]
    [InlineData("OnDp2Tp2")]
    public void ResultsLieOverWhatNothingReadsAnyMore(string on)
    {
        int InPlace(string precision)
        {
            RankProgram program = Gpt(on, precision, "None");
            EquatableArray<BufferPlan> buffers = program.Stages[0].Buffers;
            return program.Stages[0].Entries.SelectMany(e => e.Methods).SelectMany(m => m.Statements).OfType<ProgramStatement.Run>().Where(r => program.Kernels[r.Kernel] is ElementwiseKernel).Count(r =>
            {
                EquatableArray<KernelTensor> tensors = program.Kernels[r.Kernel].Tensors;
                IEnumerable<BufferPlan> Of(bool outputs) => r.Operands.Where((_, i) => tensors[i].IsOutput == outputs).Select(o => buffers[o.Buffer]).Where(b => b.Space == MemorySpace.Step);
                return Of(true).Any(o => Of(false).Any(i => i.Id != o.Id && i.Offset == o.Offset));
            });
        }

        Assert.InRange(InPlace("Float32"), 1, 1000);
        Assert.Equal(InPlace("Float32"), InPlace("BFloat16Mixed"));
        Assert.Equal(InPlace("Float32"), InPlace("Float16Mixed"));
    }

    /// <summary>Narayanan et al., arXiv 2104.04473, table 1: parameters by their formula.</summary>
    [Theory]
    [InlineData(24, 2304, 24, 1.7e9)]
    [InlineData(40, 6144, 48, 18.4e9)]
    [InlineData(96, 12288, 96, 174.6e9)]
    [InlineData(128, 25600, 160, 1008e9)]
    public void PublishedShapesHaveTheirParameters(int layers, int hidden, int heads, double published)
    {
        const int Vocab = 51200, Context = 2048;
        RankProgram program = Gpt("OnDp2Tp2", "BFloat16Mixed", "Parameters", ("Layers", layers), ("Hidden", hidden), ("Heads", heads), ("Vocab", Vocab), ("Context", Context));
        double count = program.Stages[0].Parameters.Sum(p => Math.Max(1, p.Layers) * p.Logical.Aggregate(1.0, (a, b) => a * b));
        double l = layers, h = hidden, formula = 12 * l * h * h * (1 + 13 / (12 * h) + (Vocab + Context) / (12 * l * h));
        Assert.InRange(count / formula, 0.99, 1.01);
        Assert.InRange(count / published, 0.97, 1.03);
    }

    private static string Source(string device, string precision) => AnalysisTests.Head + $$"""
        [DeviceMesh(Device = typeof(Devices.{{device}}))] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Box;
        [«ShardedOn<Box>(Precision = Precision.{{precision}}, Zero = ZeroStage.Gradients)»]
        public sealed partial class Net
        {
            readonly Tensor w = Parameter(6, 6);
            public Tensor Loss([Shape(8, 6), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(x, w)));
        }
        """;

    [Theory]
    [InlineData("LocalCpu", "BFloat16Mixed", "its device 'LocalCpu' does not compute in bf16 (its Bf16TFlops is 0); use Precision.Float32, or a device with a bf16 peak, such as Devices.H100")]
    [InlineData("LocalCpu", "BFloat16MixedFloat32Gradients", "its device 'LocalCpu' does not compute in bf16")]
    [InlineData("LocalCpu", "Float16Mixed", "its device 'LocalCpu' does not compute in fp16 (its Fp16TFlops is 0); use Precision.Float32, or a device with an fp16 peak, such as Devices.H100")]
    [InlineData("V100", "BFloat16Mixed", "its device 'V100' does not compute in bf16 (its Bf16TFlops is 0); use Precision.Float32, Precision.Float16Mixed (it computes in fp16), or a device with a bf16 peak")]
    public async Task ADeviceWithoutItRefusesIt(string device, string precision, string message)
    {
        string marked = Source(device, precision);
        int start = marked.IndexOf('«', StringComparison.Ordinal), end = marked.IndexOf('»', StringComparison.Ordinal) - 1;
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(AnalysisTests.Compile(Clean(marked))));
        Assert.Equal("SW2003", diagnostic.Id);
        Assert.Contains(message, diagnostic.GetMessage(), StringComparison.Ordinal);
        Assert.Equal((start, end), (diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.End));
    }

    [Theory]
    [InlineData("H100", "BFloat16Mixed", false)]
    [InlineData("V100", "Float16Mixed", false)]
    [InlineData("LocalCpu", "Float32", true)]
    public async Task WhereItIsPlannedTheRankSaysThatItDoesNotRun(string device, string precision, bool runs)
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Clean(Source(device, precision)));
        Assert.Empty(await AnalysisTests.Diagnose(compilation));
        (Compilation output, GeneratorRunResult result) = AnalysisTests.Generate(compilation);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
        Assert.Contains(result.GeneratedSources, s => s.SourceText.ToString().Contains($"\"precision\": \"{precision}\"", StringComparison.Ordinal));
        Assert.Equal(!runs, result.GeneratedSources.Any(s => s.SourceText.ToString().Contains($"Net.OnBox does not run: Precision.{precision} is planned", StringComparison.Ordinal)));
        Assert.Equal(runs, result.GeneratedSources.Any(s => s.SourceText.ToString().Contains("kernels.AdamW(", StringComparison.Ordinal)));
    }

    /// <summary>Kernels for accelerators, and with them the program, where a project sees ILGPU; the rank of the host throws.</summary>
    [Fact]
    public void WhereIlgpuIsSeenItIsEmitted()
    {
        const string Seen = "namespace ILGPU { public struct Index1D; } namespace Shardwright.Gpu { public sealed class DeviceArena; }";
        string All(string precision) => string.Join('\n', AnalysisTests.Generate(AnalysisTests.Compile(Clean(Source("H100", precision)), Seen)).Result.GeneratedSources.Select(s => s.SourceText.ToString()));
        string half = All("Float16Mixed"), mixed = All("BFloat16Mixed"), wide = All("BFloat16MixedFloat32Gradients"), single = All("Float32");
        Assert.Contains("public sealed class IlgpuRank : RankBase", mixed, StringComparison.Ordinal);
        Assert.Contains("make an IlgpuRank, which is emitted where a project references Shardwright.Runtime.Ilgpu", mixed, StringComparison.Ordinal);
        Assert.Contains("void AdamW(Slice<BFloat16> parameters, Slice<BFloat16> gradients, Slice<float> master, Slice<float> first, Slice<float> second,", mixed, StringComparison.Ordinal);
        Assert.Contains("void AdamW(Slice<BFloat16> parameters, Slice<float> gradients, Slice<float> master,", wide, StringComparison.Ordinal);
        Assert.Contains("void Accumulate(Slice<BFloat16> contribution, Slice<float> gradient, int microBatch)", wide, StringComparison.Ordinal);
        Assert.DoesNotContain("CpuKernels", mixed, StringComparison.Ordinal);
        Assert.Contains("void AdamW(Slice<Float16> parameters, Slice<Float16> gradients, Slice<float> master, Slice<float> first, Slice<float> second,", half, StringComparison.Ordinal);
        Assert.DoesNotContain("BFloat16", half.Replace("\"precision\"", "", StringComparison.Ordinal), StringComparison.Ordinal);

        // The seed of backward, and what the optimizer divides by, are those of the scaled loss in fp16 alone.
        foreach (string text in new[] { " * scaling.Value);", "BeginScaled(settings.LossScaling);", "weight * Scaling.Value, settings.ClipNorm", "Step + 1 - Scaling.SkippedSteps" })
        {
            Assert.Contains(text, half, StringComparison.Ordinal);
            Assert.DoesNotContain(text, mixed, StringComparison.Ordinal);
            Assert.DoesNotContain(text, single, StringComparison.Ordinal);
        }

        Assert.Contains("CpuKernels", single, StringComparison.Ordinal);
        Assert.DoesNotContain("BFloat16 ", single, StringComparison.Ordinal);
        Assert.DoesNotContain("Element.", single, StringComparison.Ordinal);
    }

    /// <summary>Results and gradients are narrow, the second and third of an op too; what an op leaves for its gradient beside its result is not, nor are numbers without dims.</summary>
    [Fact]
    public void StatisticsKeepTheirDigits()
    {
        RankProgram program = Gpt("OnSingle", "BFloat16Mixed", "None");
        ILookup<DType, BufferPlan> buffers = program.Stages[0].Buffers.Where(b => b.Space != MemorySpace.State && b.Element != DType.Int32).ToLookup(b => b.Element);
        Assert.All(buffers[DType.Float32], b => Assert.True(b.Length == 1 || b.Name.EndsWith("Mean", StringComparison.Ordinal) || b.Name.EndsWith("ReciprocalDeviation", StringComparison.Ordinal) || b.Name.EndsWith("LogSumExp", StringComparison.Ordinal), b.Name));
        Assert.Contains(buffers[DType.Float32], b => b.Length > 1);
        KernelPlan attention = program.Kernels.First(k => k is OpKernel { Op: AttentionGradientOp }), norm = program.Kernels.First(k => k is OpKernel { Op: LayerNormGradientOp });
        Assert.All(attention.Tensors.Where(t => t.IsOutput), t => Assert.Equal(DType.BFloat16, t.Element));
        Assert.Equal([DType.BFloat16, DType.BFloat16, DType.BFloat16], norm.Tensors.Where(t => t.IsOutput).Select(t => t.Element));
    }

    private static string Clean(string marked) => marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal);
}
