using System.Diagnostics;
using System.Globalization;
using Shardwright.Execution;
using Shardwright.Gpu;

namespace Shardwright.Benchmarks.Accelerators;

/// <summary>What an accelerator reaches: limits, kernels, a step, losses beside those of the host.</summary>
internal static class Program
{
    private const string Usage = "usage: Gpu [--device cuda|opencl|ilgpu-cpu] [--tf32] [--tiny] [--steps N]";

    public static int Main(string[] arguments) => Run(arguments, Console.Out, Console.Error);

    /// <summary>Runs all parts.</summary>
    /// <returns>0; 1 where there is no such device; 2 for a wrong command line.</returns>
    public static int Run(string[] arguments, TextWriter output, TextWriter error)
    {
        string name = "cuda";
        bool tf32 = false, tiny = false;
        int steps = 10;
        for (int i = 0; i < arguments.Length; i++)
        {
            switch (arguments[i])
            {
                case "--device" when i + 1 < arguments.Length && arguments[i + 1] is "cuda" or "opencl" or "ilgpu-cpu":
                    name = arguments[++i];
                    break;
                case "--steps" when i + 1 < arguments.Length && int.TryParse(arguments[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count is > 0 and <= 10_000:
                    steps = count;
                    i++;
                    break;
                case "--tf32":
                    tf32 = true;
                    break;
                case "--tiny":
                    tiny = true;
                    break;
                default:
                    error.WriteLine($"'{string.Join(' ', arguments.Skip(i))}' is not understood; {Usage}");
                    return 2;
            }
        }

        var options = new GpuOptions { Kind = name switch { "cuda" => GpuKind.Cuda, "opencl" => GpuKind.OpenCL, _ => GpuKind.Cpu }, Devices = [0], TensorFloat32 = tf32 };
        Subject subject = tiny ? Subject.Tiny : Subject.Gpt2;
        try
        {
            DeviceLimits limits = Limits(output, options, tiny);
            Kernels(output, KernelTable.Measure(subject, options, steps), limits, subject);
            Step(output, subject, options, steps, limits);
            Losses(output, tiny ? Subject.Tiny : Subject.Compared, options with { TensorFloat32 = false }, steps);
            return 0;
        }
        catch (GpuException refusal)
        {
            error.WriteLine($"--device {name}: {refusal.Message}");
            return 1;
        }
        catch (RankFailedException refusal) when (refusal.InnerException is GpuException)
        {
            error.WriteLine($"--device {name}: {refusal.Message}");
            return 1;
        }
    }

    private static DeviceLimits Limits(TextWriter output, GpuOptions options, bool tiny)
    {
        using GpuBackend backend = GpuBackend.Create(options);
        DeviceLimits limits = DeviceLimits.Measure(backend.Devices[0], tiny ? 4096 : 1L << 30, tiny ? 16 : 8192);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{backend.Name}, {DateTime.UtcNow:yyyy-MM-dd}: copy {limits.CopyBytesPerSecond / 1e9:0.###} GB/s read and written; product {limits.ProductFlops / 1e12:0.######} TFLOP/s ({limits.Library}); launch and wait {limits.LaunchSeconds * 1e6:0.#} us"));
        return limits;
    }

    private static void Kernels(TextWriter output, IReadOnlyList<KernelRow> rows, DeviceLimits limits, Subject subject)
    {
        output.WriteLine();
        output.WriteLine($"kernels of {subject.Name}, each waited for: {"us",10} {"calls",6} {"GB/s",9} {"of copy",8} {"of product",10}");
        foreach (KernelRow row in rows)
        {
            string product = row.IsProduct ? row.OfProduct(limits).ToString("P0", CultureInfo.InvariantCulture) : "";
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{row.Kernel.Name,-38} {row.Seconds * 1e6,10:0.#} {row.Calls,6:0.#} {row.Kernel.Bytes / row.Seconds / 1e9,9:0.###} {row.OfCopy(limits),8:P0} {product,10}"));
        }

        // What memory bounds, by its time in a step: the promise is about these.
        KernelRow[] streams = [.. rows.Where(r => !r.IsProduct)];
        double time = streams.Sum(r => r.Calls * r.Seconds);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"bound by memory: {streams.Sum(r => r.Calls * r.Kernel.Bytes) / time / limits.CopyBytesPerSecond:P0} of a copy's bandwidth over {time * 1e3:0.###} ms of a step"));
    }

    private static void Step(TextWriter output, Subject subject, GpuOptions options, int steps, DeviceLimits limits)
    {
        using GpuBackend backend = GpuBackend.Create(options);
        var seconds = new List<double>();
        long bytes = 0;
        subject.Run(backend, null, (rank, step) =>
        {
            bytes = rank.AllocatedBytes;
            for (int i = 0; i <= steps; i++)
            {
                long start = Stopwatch.GetTimestamp();
                step(i); // ends with the loss on the host: all work is done
                if (i > 0)
                {
                    seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
                }
            }
        });
        double median = KernelTable.Median(seconds);
        output.WriteLine();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"step of {subject.Name}, batch {subject.Batch} x {subject.Context}: {median * 1e3:0.###} ms, {subject.Batch * subject.Context / median:0} tokens/s, {subject.Plan.ModelFlops / median / 1e12:0.######} TFLOP/s, {subject.Plan.ModelFlops / median / limits.ProductFlops:P0} of the product; slab {bytes:N0} bytes, planned {subject.Plan.TotalBytes:N0}"));
    }

    private static void Losses(TextWriter output, Subject subject, GpuOptions options, int steps)
    {
        using GpuBackend backend = GpuBackend.Create(options);
        double[] host = Losses(subject, Backend.Host, steps), device = Losses(subject, backend, steps);
        double worst = host.Zip(device).Max(p => Math.Abs(p.First - p.Second) / Math.Abs(p.First));
        output.WriteLine();
        output.WriteLine($"losses of {subject.Name}, TF32 off");
        output.WriteLine("host    " + string.Join(" ", host.Select(l => l.ToString("F6", CultureInfo.InvariantCulture))));
        output.WriteLine("device  " + string.Join(" ", device.Select(l => l.ToString("F6", CultureInfo.InvariantCulture))));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"largest relative difference {worst:0.0e+0}"));
    }

    private static double[] Losses(Subject subject, Backend backend, int steps)
    {
        var losses = new double[steps];
        subject.Run(backend, null, (_, step) =>
        {
            for (int i = 0; i < steps; i++)
            {
                losses[i] = step(i).Loss;
            }
        });
        return losses;
    }
}
