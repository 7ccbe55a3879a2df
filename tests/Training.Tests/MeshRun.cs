using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>What a run on a mesh left: losses and norms of all steps, initial parameters and first gradients put together from all ranks.</summary>
public sealed record RunResult(string Name, double[] Losses, double[] Norms, Dictionary<string, float[]> Initial, Dictionary<string, float[]> Gradients, Dictionary<string, float[]> Final);

public static class MeshRun
{
    /// <summary>Runs steps on all ranks of a mesh.</summary>
    /// <param name="make">Makes a rank.</param>
    /// <param name="step">Runs a step of it.</param>
    /// <param name="overlap">Whether communication runs beside compute.</param>
    public static RunResult Run<TRank>(string name, Mesh mesh, int steps, Func<RankContext, TRank> make, Func<TRank, int, StepResult> step, bool overlap = true)
        where TRank : RankBase
    {
        var losses = new double[mesh.Ranks][];
        var norms = new double[mesh.Ranks][];
        var initial = new Dictionary<string, float[]>();
        var gradients = new Dictionary<string, float[]>();
        var final = new Dictionary<string, float[]>();
        using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, Overlap = overlap });
        world.Run(context =>
        {
            using TRank rank = make(context);
            Gather(rank, initial, p => p.Value, p => p.ValueRange);
            losses[context.Rank] = new double[steps];
            norms[context.Rank] = new double[steps];
            for (int i = 0; i < steps; i++)
            {
                StepResult result = step(rank, i);
                losses[context.Rank][i] = result.Loss;
                norms[context.Rank][i] = result.GradientNorm;
                if (i == 0)
                {
                    double weight = result.Weight;
                    Gather(rank, gradients, p => p.Gradient.ToArray().Select(g => (float)(g / weight)).ToArray(), p => p.StateRange);
                }
            }

            Gather(rank, final, p => p.Value, p => p.ValueRange);
        });
        for (int rank = 1; rank < mesh.Ranks; rank++)
        {
            Assert.Equal(losses[0], losses[rank]);
            Assert.Equal(norms[0], norms[rank]);
        }

        return new RunResult(name, losses[0], norms[0], initial, gradients, final);
    }

    private delegate ReadOnlySpan<float> Pick(ParameterView parameter);

    /// <summary>Puts pieces where they belong; a piece that two ranks hold must be the same on both.</summary>
    private static void Gather(RankBase rank, Dictionary<string, float[]> into, Pick pick, Func<ParameterView, ElementRange> range)
    {
        lock (into)
        {
            foreach (ParameterView parameter in rank.Parameters)
            {
                long count = parameter.LogicalShape.Aggregate(1L, (a, b) => a * b);
                if (!into.TryGetValue(parameter.Path, out float[]? whole))
                {
                    into[parameter.Path] = whole = new float[count];
                    Array.Fill(whole, float.NaN);
                }

                ReadOnlySpan<float> piece = pick(parameter);
                for (int i = 0; i < piece.Length; i++)
                {
                    long index = parameter.Map[range(parameter).Start + i];
                    ref float place = ref whole[index];
                    Assert.True(float.IsNaN(place) || place == piece[i], $"ranks disagree on {parameter.Path}[{index}]: {place} and {piece[i]}");
                    place = piece[i];
                }
            }
        }
    }

    /// <summary>The bounds of sharding: every gradient within 1e-5 of the reference, by norm of the difference over the larger of its norm and 1e-4 of the global norm.</summary>
    public static void AssertGradients(RunResult expected, RunResult actual, double bound)
    {
        double global = Math.Sqrt(expected.Gradients.Values.Sum(g => g.Sum(x => (double)x * x)));
        Assert.Equal(expected.Gradients.Keys.Order(), actual.Gradients.Keys.Order());
        foreach ((string path, float[] reference) in expected.Gradients)
        {
            double norm = Math.Sqrt(reference.Sum(x => (double)x * x)), difference = Math.Sqrt(reference.Zip(actual.Gradients[path], (a, b) => ((double)a - b) * ((double)a - b)).Sum());
            Assert.True(difference <= bound * Math.Max(norm, 1e-4 * global), $"{actual.Name}: gradient of {path} differs by {difference / Math.Max(norm, 1e-4 * global):g3} of its norm {norm:g4}");
        }
    }

    public static void AssertInitial(RunResult expected, RunResult actual)
    {
        Assert.Equal(expected.Initial.Keys.Order(), actual.Initial.Keys.Order());
        foreach ((string path, float[] reference) in expected.Initial)
        {
            Assert.True(reference.AsSpan().SequenceEqual(actual.Initial[path]), $"{actual.Name}: initial {path} differs");
        }
    }

    public static void AssertLosses(RunResult expected, RunResult actual, int through, double bound)
    {
        for (int i = 0; i < Math.Min(through, expected.Losses.Length); i++)
        {
            double error = Math.Abs(expected.Losses[i] - actual.Losses[i]) / Math.Abs(expected.Losses[i]);
            Assert.True(error <= bound, $"{actual.Name}: loss of step {i} is {actual.Losses[i]:R}, on one rank {expected.Losses[i]:R}: relative difference {error:g3}");
        }
    }
}
