using Shardwright;
using TinyGpt;
var corpus = ByteCorpus.Load(args[0], Gpt.Context, Gpt.Batch, ".cs", ".md");
Console.WriteLine(Gpt.OnSingle.Plan);
int[] ids = new int[Gpt.Batch * Gpt.Context], targets = new int[ids.Length];
using var world = World.InProcess(Gpt.OnSingle.Mesh);
world.Run(rank =>
{
    using var gpt = new Gpt.OnSingle.Rank(rank, 42);
    for (int step = 0; step < 30; step++)
    {
        corpus.Fill(42, step, ids, targets);
        var t = System.Diagnostics.Stopwatch.GetTimestamp();
        var r = gpt.TrainStep(TokenTensor.Of(ids, Gpt.Batch, Gpt.Context), TokenTensor.Of(targets, Gpt.Batch, Gpt.Context), new AdamWSettings(1e-3f));
        Console.WriteLine($"{step} {r.Loss:F5} {r.GradientNorm:F4} {System.Diagnostics.Stopwatch.GetElapsedTime(t).TotalMilliseconds:F1} ms");
    }
});
