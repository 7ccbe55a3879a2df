using Shardwright;

namespace Template._1;

/// <summary>The data: points of a spiral with three arms, around the origin, within a circle of radius 1.</summary>
public static class Spiral
{
    private const int Width = 32, Height = Classifier.Batch / Width;

    /// <summary>The batch of a step: the same on every rank, and in every run.</summary>
    /// <param name="step">Number of the step.</param>
    /// <param name="points">Two coordinates for each point.</param>
    /// <param name="arms">The arm of each point.</param>
    public static void Fill(int step, float[] points, int[] arms)
    {
        var random = new Random(step);
        for (int i = 0; i < arms.Length; i++)
        {
            arms[i] = i % Classifier.Arms;
            double radius = random.NextDouble();
            double angle = 5 * radius + 2 * Math.PI * arms[i] / Classifier.Arms + 0.3 * (random.NextDouble() - 0.5);
            points[2 * i] = (float)(radius * Math.Cos(angle));
            points[2 * i + 1] = (float)(radius * Math.Sin(angle));
        }
    }

    /// <summary>A batch of points on a grid, row by row.</summary>
    public static void FillGrid(float[] points)
    {
        for (int i = 0; i < Width * Height; i++)
        {
            points[2 * i] = 2f * (i % Width) / (Width - 1) - 1;
            points[2 * i + 1] = 1 - 2f * (i / Width) / (Height - 1);
        }
    }

    /// <summary>Draws which arm the model sees at each point of the grid.</summary>
    public static void Draw(Tensor logits)
    {
        for (int row = 0; row < Height; row++)
        {
            var line = new char[Width];
            for (int column = 0; column < Width; column++)
            {
                ReadOnlySpan<float> scores = logits.Span.Slice((row * Width + column) * Classifier.Arms, Classifier.Arms);
                int best = 0;
                for (int arm = 1; arm < scores.Length; arm++)
                {
                    best = scores[arm] > scores[best] ? arm : best;
                }

                line[column] = ".+#"[best];
            }

            Console.WriteLine(new string(line));
        }
    }
}
