using System.Globalization;
using Shardwright.Execution;
using Spectre.Console;

namespace TinyGpt;

/// <summary>Runs every mesh from one seed and shows that they compute the same.</summary>
public static class Comparison
{
    private sealed record Result(double[] Losses, Dictionary<string, float[]> Gradients, double Norm);

    /// <summary>Prints losses of all steps, and gradients of the first, side by side.</summary>
    public static void Print(Run run)
    {
        Result[] results = [.. GptMesh.All.Select(mesh => Train(run, mesh))];
        var losses = new Table().Title("Loss of each step").AddColumn("step");
        var gradients = new Table().Title("Norm of each gradient after the first step; largest difference over the norm on Single").AddColumn(new TableColumn("parameter").NoWrap());
        foreach (GptMesh mesh in GptMesh.All)
        {
            losses.AddColumn(new TableColumn(mesh.Name).RightAligned());
            gradients.AddColumn(new TableColumn(mesh.Name).RightAligned());
        }

        losses.AddColumn(new TableColumn("largest difference").RightAligned());
        gradients.AddColumn(new TableColumn("largest difference").RightAligned());
        for (int step = 0; step < run.Steps; step++)
        {
            double worst = results.Max(r => Math.Abs(r.Losses[step] / results[0].Losses[step] - 1));
            losses.AddRow([(step + 1).ToString(CultureInfo.InvariantCulture), .. results.Select(r => r.Losses[step].ToString("F7", CultureInfo.InvariantCulture)), worst.ToString("0.0e+0", CultureInfo.InvariantCulture)]);
        }

        double overall = 0;
        foreach ((string path, float[] reference) in results[0].Gradients)
        {
            double norm = Norm(reference), floor = Math.Max(norm, 1e-4 * results[0].Norm);
            double worst = results.Max(r => Norm([.. reference.Zip(r.Gradients[path], (a, b) => a - b)]) / floor);
            overall = Math.Max(overall, worst);
            gradients.AddRow([Markup.Escape(path), .. results.Select(r => Norm(r.Gradients[path]).ToString("F6", CultureInfo.InvariantCulture)), worst.ToString("0.0e+0", CultureInfo.InvariantCulture)]);
        }

        AnsiConsole.Write(losses);
        AnsiConsole.Write(gradients);
        double loss = Enumerable.Range(0, run.Steps).Max(step => results.Max(r => Math.Abs(r.Losses[step] / results[0].Losses[step] - 1)));
        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"largest difference: loss {loss:0.0e+0}, gradient {overall:0.0e+0}"));
    }

    private static double Norm(float[] values) => Math.Sqrt(values.Sum(v => (double)v * v));

    private static Result Train(Run run, GptMesh mesh)
    {
        double[] losses = new double[run.Steps];
        double norm = 0;
        var gradients = new Dictionary<string, float[]>();
        AnsiConsole.WriteLine($"training on {mesh.Name} ({mesh.Mesh.Ranks} rank(s))");
        run.World(mesh, (context, gpt) =>
        {
            var (idArray, targetArray, ids, targets) = Run.Batch();
            for (int step = 0; step < run.Steps; step++)
            {
                run.Fill(step, idArray, targetArray);
                var result = gpt.TrainStep(ids, targets, new(3e-4f));
                if (context.Rank == 0)
                {
                    losses[step] = result.Loss;
                    norm = step == 0 ? result.GradientNorm : norm;
                }

                if (step == 0)
                {
                    Gather(gpt.Rank, gradients, result.Weight);
                }
            }
        });
        return new Result(losses, gradients, norm);
    }

    private static void Gather(RankBase rank, Dictionary<string, float[]> gradients, double weight)
    {
        lock (gradients)
        {
            foreach (ParameterView parameter in rank.Parameters)
            {
                if (!gradients.TryGetValue(parameter.Path, out float[]? whole))
                {
                    gradients[parameter.Path] = whole = new float[parameter.LogicalShape.Aggregate(1L, (a, b) => a * b)];
                }

                ReadOnlySpan<float> piece = parameter.Gradient;
                for (int i = 0; i < piece.Length; i++)
                {
                    whole[parameter.Map[parameter.StateRange.Start + i]] = (float)(piece[i] / weight);
                }
            }
        }
    }
}
