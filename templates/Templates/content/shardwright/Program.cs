using System.Globalization;
using Shardwright;

namespace Template._1;

// dotnet run -c Release                        trains on one rank
// dotnet run -c Release -- --mesh Pair         trains on two, to the same losses
internal static class Program
{
    private static int Main(string[] args)
    {
        string mesh = Option(args, "--mesh", "Laptop");
        if (!int.TryParse(Option(args, "--steps", "600"), NumberStyles.None, CultureInfo.InvariantCulture, out int steps) || steps < 1)
        {
            Console.Error.WriteLine($"--steps {Option(args, "--steps", "600")}: give a number of steps, 1 or more.");
            return 1;
        }

        switch (mesh)
        {
            case "Laptop":
                Train(steps, Classifier.OnLaptop.Mesh, Classifier.OnLaptop.Plan, rank =>
                {
                    var model = new Classifier.OnLaptop.Rank(rank, seed: 42);
                    return new Model(model, model.TrainStep, model.Forward);
                });
                return 0;
            case "Pair":
                Train(steps, Classifier.OnPair.Mesh, Classifier.OnPair.Plan, rank =>
                {
                    var model = new Classifier.OnPair.Rank(rank, seed: 42);
                    return new Model(model, model.TrainStep, model.Forward);
                });
                return 0;
            default:
                Console.Error.WriteLine($"--mesh {mesh}: there are Laptop and Pair.");
                return 1;
        }
    }

    private static void Train(int steps, Mesh on, Plan plan, Func<RankContext, Model> make)
    {
        Console.WriteLine(plan); // memory of a rank, placements, collectives: known before anything runs
        using var world = World.InProcess(on);
        world.Run(rank =>
        {
            // This runs once on every rank. All are given the whole batch, and read the part that is theirs.
            Model model = make(rank);
            using IDisposable memory = model.Memory;
            float[] points = new float[Classifier.Batch * 2];
            int[] arms = new int[Classifier.Batch];
            Tensor x = Tensor.Of(points, Classifier.Batch, 2);
            TokenTensor y = TokenTensor.Of(arms, Classifier.Batch);
            LearningRateSchedule rate = LearningRateSchedule.WarmupCosine(0.01f, Math.Min(20, steps / 2), steps);
            for (int step = 0; step < steps; step++)
            {
                Spiral.Fill(step, points, arms);
                StepResult result = model.Step(x, y, new AdamWSettings(rate.At(step), ClipNorm: 1));
                if (rank.Rank == 0 && (step % 50 == 0 || step == steps - 1))
                {
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"step {step + 1,4}  loss {result.Loss:F4}"));
                }
            }

            Spiral.FillGrid(points);
            Tensor logits = model.Forward(x);
            if (rank.Rank == 0)
            {
                Spiral.Draw(logits);
            }
        });
    }

    private static string Option(string[] args, string name, string otherwise)
    {
        int at = Array.IndexOf(args, name);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
    }
}

/// <summary>A rank of the model on any mesh.</summary>
internal sealed record Model(IDisposable Memory, Func<Tensor, TokenTensor, AdamWSettings, StepResult> Step, Func<Tensor, Tensor> Forward);
