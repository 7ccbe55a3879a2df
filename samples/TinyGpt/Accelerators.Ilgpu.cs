using Shardwright;
using Shardwright.Execution;
using Shardwright.Gpu;

namespace TinyGpt;

/// <summary>Devices of a build with ILGPU.</summary>
internal static class Accelerators
{
    private delegate StepResult Training(TokenTensor ids, TokenTensor targets, AdamWSettings settings);

    /// <summary>Opens a device.</summary>
    /// <param name="device">As --device names it.</param>
    /// <param name="mesh">What is going to run; null for all meshes, one after another.</param>
    /// <returns>The backend, and what is to be said of it.</returns>
    /// <exception cref="ArgumentException">It is not there, or too small; the message says what was looked for and found.</exception>
    public static (Backend Backend, string? Note) Open(string device, GptMesh? mesh)
    {
        try
        {
            return DeviceNames.Open(device, mesh?.Plan(), mesh?.Mesh);
        }
        catch (GpuException error)
        {
            throw new ArgumentException($"--device {device}: {error.Message} Use --device cpu, or auto, which takes what it finds.", error);
        }
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
            case "Pp2":
                var pp2 = new Gpt.OnPp2.IlgpuRank(context, seed);
                return new Rank(pp2, pp2.TrainStep, pp2.Evaluate, pp2.Forward);
            case "Pp2Interleaved":
                var interleaved = new Gpt.OnPp2Interleaved.IlgpuRank(context, seed);
                return new Rank(interleaved, interleaved.TrainStep, interleaved.Evaluate, interleaved.Forward);
            case "Pp2Dp2Tp2":
                var cube = new Gpt.OnPp2Dp2Tp2.IlgpuRank(context, seed);
                return new Rank(cube, cube.TrainStep, cube.Evaluate, cube.Forward);
            default:
                throw new ArgumentException($"there is no mesh {mesh}");
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
