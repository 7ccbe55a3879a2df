using Shardwright.Execution;
using Shardwright.Gpu;

namespace Shardwright.Tests;

/// <summary>Runs a program on accelerators or on the host, and compares what two runs left.</summary>
internal static class DeviceRun
{
    public delegate StepResult Step<in TRank>(TRank rank);

    /// <summary>Loss, norm, parameters after the steps, gradients of the last.</summary>
    public sealed record Result(double[] Losses, double[] Norms, Dictionary<string, float[]> Values, Dictionary<string, float[]> Gradients);

    /// <summary>Runs the program of a model by name.</summary>
    /// <param name="model">The model.</param>
    /// <param name="name">Name of its program.</param>
    /// <param name="options">Devices; null for the host.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="arguments">Of a step.</param>
    public static Result Run(Type model, string name, GpuOptions? options, int steps, params object[] arguments) =>
        Run(MeshOf(model, name), options, context => Make(model, name, context), rank => Train(rank, arguments), steps);

    /// <summary>The mesh of a program.</summary>
    public static Mesh MeshOf(Type model, string name) => (Mesh)Program(model, name).GetProperty("Mesh")!.GetValue(null)!;

    /// <summary>The rank of a program on the backend of its world.</summary>
    public static RankBase Make(Type model, string name, RankContext context, ulong seed = 3) =>
        (RankBase)Activator.CreateInstance(Program(model, name).GetNestedType(context.Backend is GpuBackend ? "IlgpuRank" : "Rank")!, context, seed)!;

    /// <summary>One step.</summary>
    public static StepResult Train(RankBase rank, params object[] arguments) => (StepResult)rank.GetType().GetMethod("TrainStep")!.Invoke(rank, System.Reflection.BindingFlags.DoNotWrapExceptions, null, arguments, null)!;

    private static Type Program(Type model, string name) => model.GetNestedType(name) ?? throw new ArgumentException($"{model.Name} has no program {name}");

    public static Result Run<TRank>(Mesh mesh, GpuOptions? options, Func<RankContext, TRank> make, Step<TRank> step, int steps = 3, Action<GpuBackend>? prepare = null)
        where TRank : RankBase
    {
        using GpuBackend? backend = options is null ? null : GpuBackend.Create(options with { Kind = GpuKind.Cpu });
        if (backend is not null)
        {
            prepare?.Invoke(backend);
        }

        var result = new Result(new double[steps], new double[steps], [], []);
        using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, Backend = backend ?? Backend.Host });
        world.Run(context =>
        {
            using TRank rank = make(context);
            if (backend is not null)
            {
                Assert.Contains(rank.AllocatedBytes, rank.Plan.Ranks.Select(r => r.TotalBytes));
            }

            for (int i = 0; i < steps; i++)
            {
                StepResult outcome = step(rank);
                result.Losses[i] = outcome.Loss;
                result.Norms[i] = outcome.GradientNorm;
            }

            lock (result)
            {
                foreach (ParameterView p in rank.Parameters)
                {
                    Place(result.Values, p.Path, p, p.Read(), p.ValueRange.Start);
                    Place(result.Gradients, p.Path, p, p.Gradient.ToArray(), p.StateRange.Start);
                }
            }
        });
        return result;
    }

    /// <summary>Puts a piece where it belongs.</summary>
    public static void Place(Dictionary<string, float[]> all, string name, ParameterView p, float[] piece, long start)
    {
        if (!all.TryGetValue(name, out float[]? whole))
        {
            all[name] = whole = new float[p.LogicalShape.Aggregate(1L, (a, b) => a * b)];
        }

        for (int i = 0; i < piece.Length; i++)
        {
            whole[p.Map[start + i]] = piece[i];
        }
    }

    public static void Same(Result expected, Result actual)
    {
        for (int i = 0; i < expected.Losses.Length; i++)
        {
            Assert.Equal(expected.Losses[i], actual.Losses[i], 1e-5 * Math.Abs(expected.Losses[i]));
            Assert.Equal(expected.Norms[i], actual.Norms[i], 1e-5 * Math.Abs(expected.Norms[i]));
        }

        foreach ((Dictionary<string, float[]> e, Dictionary<string, float[]> a) in new[] { (expected.Gradients, actual.Gradients), (expected.Values, actual.Values) })
        {
            foreach ((string path, float[] reference) in e)
            {
                double norm = Math.Sqrt(reference.Sum(v => (double)v * v)), difference = Math.Sqrt(reference.Zip(a[path], (x, y) => ((double)x - y) * ((double)x - y)).Sum());
                Assert.True(difference <= 2e-5 * Math.Max(norm, 1e-3), $"{path}: relative difference {difference / norm:g3}");
            }
        }
    }
}
