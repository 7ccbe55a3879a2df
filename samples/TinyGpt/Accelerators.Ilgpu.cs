using Shardwright;
using Shardwright.Execution;
using Shardwright.Gpu;

namespace TinyGpt;

/// <summary>Devices of a build with ILGPU.</summary>
internal static class Accelerators
{
    private delegate StepResult Training(TokenTensor ids, TokenTensor targets, AdamWSettings settings);

    /// <summary>Opens a device.</summary>
    /// <exception cref="ArgumentException">It is not there; the message says what was looked for and found.</exception>
    public static Backend Open(string device)
    {
        if (device == "cpu")
        {
            return Backend.Host;
        }

        if (device == "auto")
        {
            // The only name that falls back: the first kind with a device.
            GpuKind[] found = [.. new[] { GpuKind.Cuda, GpuKind.OpenCL }.Where(k => GpuBackend.Find(k).Count > 0)];
            return found.Length > 0 ? Create(found[0]) : Backend.Host;
        }

        return Create(device switch { "cuda" => GpuKind.Cuda, "opencl" => GpuKind.OpenCL, _ => GpuKind.Cpu });
    }

    /// <summary>A rank on an accelerator.</summary>
    public static IGptRank Make(string mesh, RankContext context, ulong seed)
    {
        switch (mesh)
        {
            case "Single":
                var single = new Gpt.OnSingle.IlgpuRank(context, seed);
                return new Rank(single, single.TrainStep, single.Evaluate, single.Forward);
            case "Dp2":
                var dp2 = new Gpt.OnDp2.IlgpuRank(context, seed);
                return new Rank(dp2, dp2.TrainStep, dp2.Evaluate, dp2.Forward);
            case "Dp2Zero1":
                var zero1 = new Gpt.OnDp2Zero1.IlgpuRank(context, seed);
                return new Rank(zero1, zero1.TrainStep, zero1.Evaluate, zero1.Forward);
            case "Dp2Zero3":
                var zero3 = new Gpt.OnDp2Zero3.IlgpuRank(context, seed);
                return new Rank(zero3, zero3.TrainStep, zero3.Evaluate, zero3.Forward);
            case "Tp2":
                var tp2 = new Gpt.OnTp2.IlgpuRank(context, seed);
                return new Rank(tp2, tp2.TrainStep, tp2.Evaluate, tp2.Forward);
            case "Dp2Tp2":
                var dp2Tp2 = new Gpt.OnDp2Tp2.IlgpuRank(context, seed);
                return new Rank(dp2Tp2, dp2Tp2.TrainStep, dp2Tp2.Evaluate, dp2Tp2.Forward);
            default:
                throw new NotSupportedException($"mesh {mesh} has a pipeline axis: its ranks run on the host only, use --device cpu");
        }
    }

    private static GpuBackend Create(GpuKind kind)
    {
        try
        {
            return GpuBackend.Create(new GpuOptions { Kind = kind });
        }
        catch (GpuException error)
        {
            throw new ArgumentException(error.Message, error);
        }
    }

    private sealed class Rank(RankBase rank, Training train, Func<TokenTensor, TokenTensor, StepResult> evaluate, Func<TokenTensor, Tensor> forward) : IGptRank
    {
        RankBase IGptRank.Rank => rank;

        public StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => train(ids, targets, settings);

        public StepResult Evaluate(TokenTensor ids, TokenTensor targets) => evaluate(ids, targets);

        public Tensor Forward(TokenTensor ids) => forward(ids);

        public void Dispose() => rank.Dispose();
    }
}
