using System.Diagnostics;
using System.Globalization;
using System.Text;
using Shardwright;
using Shardwright.Execution;
using Shardwright.Kernels;
using Spectre.Console;

namespace TinyGpt;

/// <summary>What a run reads and writes beside its text.</summary>
/// <param name="From">Checkpoint to go on from.</param>
/// <param name="SaveTo">Folder of its checkpoints.</param>
/// <param name="SaveEvery">Steps between two.</param>
/// <param name="Export">File of plain weights, written at the end.</param>
public sealed record RunFiles(Checkpoint? From = null, string? SaveTo = null, int SaveEvery = 100, string? Export = null)
{
    /// <summary>Name under which a checkpoint notes the length of its run, which the learning rate depends on.</summary>
    public const string StepsNote = "steps";
}

/// <summary>A training run: data, length, seed.</summary>
public sealed class Run(ByteCorpus corpus, int steps, ulong seed, WorldOptions options, RunFiles files, CancellationToken cancellation)
{
    private const int EvaluateEvery = 100;
    private const int GeneratedBytes = 400;

    /// <summary>Optimizer steps.</summary>
    public int Steps => steps;

    /// <summary>Seed of parameters and batches.</summary>
    public ulong Seed => seed;

    /// <summary>Trains on a mesh, prints what happens, and generates text.</summary>
    public void Train(GptMesh mesh)
    {
        AnsiConsole.Write(new Text(mesh.Plan().ToString()));
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{corpus.TrainingBytes:N0} bytes to train on, {corpus.HeldOutBytes:N0} held out; entropy of single bytes {corpus.UnigramEntropy:F3} nats"));
        if (files.From is { } from)
        {
            AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"goes on after step {from.Step} of {steps}, saved on {from.Mesh}"));
            if (from.Data is { } data && data.Fingerprint != corpus.Fingerprint)
            {
                AnsiConsole.WriteLine($"note: the checkpoint was trained on another text ({data.Source}: {data.Fingerprint}; now {corpus.Name}: {corpus.Fingerprint}), so losses are not those of one uninterrupted run");
            }
        }

        double heldOut = double.NaN;
        string generated = "";
        bool live = !Console.IsOutputRedirected;
        void Body(Action<int, StepResult, double, float, double> report) => World(mesh, (context, gpt) =>
        {
            LearningRateSchedule schedule = LearningRateSchedule.WarmupCosine(2e-3f, Math.Min(steps / 2, 50), steps, 2e-4f);
            (int[] idArray, int[] targetArray, TokenTensor ids, TokenTensor targets) = Batch();
            if (files.From is not null)
            {
                gpt.Rank.Load(files.From);
            }

            int start = gpt.Rank.Step;
            var clock = Stopwatch.StartNew();
            for (int step = start; step < steps; step++)
            {
                corpus.Fill(seed, step, idArray, targetArray);
                float rate = schedule.At(step);
                StepResult result = gpt.TrainStep(ids, targets, new AdamWSettings(rate, Beta2: 0.95f, WeightDecay: 0.1f, ClipNorm: 1));
                if ((step + 1) % EvaluateEvery == 0 || step == steps - 1)
                {
                    double loss = HeldOut(gpt);
                    if (context.Rank == 0)
                    {
                        heldOut = loss;
                    }
                }

                if (files.SaveTo is not null && ((step + 1) % files.SaveEvery == 0 || step == steps - 1))
                {
                    gpt.Rank.Save(files.SaveTo, new SaveOptions { Data = corpus.Position(step + 1), Notes = new Dictionary<string, string> { [RunFiles.StepsNote] = steps.ToString(CultureInfo.InvariantCulture) } });
                }

                if (context.Rank == 0)
                {
                    report(step, result, heldOut, rate, (step + 1 - start) * (double)Gpt.Batch * Gpt.Context / clock.Elapsed.TotalSeconds);
                }
            }

            if (start == steps)
            {
                double loss = HeldOut(gpt);
                heldOut = context.Rank == 0 ? loss : heldOut;
            }

            if (files.Export is not null)
            {
                gpt.Rank.ExportWeights(files.Export);
            }

            string text = Generate(gpt, "/// <summary>");
            if (context.Rank == 0)
            {
                generated = text;
            }
        });

        if (live)
        {
            AnsiConsole.Progress().Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn()).Start(progress =>
            {
                ProgressTask task = progress.AddTask("training", maxValue: steps);
                Body((step, result, held, rate, speed) =>
                {
                    task.Description = Markup.Escape(Line(step, result, held, rate, speed));
                    task.Value = step + 1;
                });
            });
        }
        else
        {
            int done = files.From?.Step ?? 0;
            var clock = Stopwatch.StartNew();
            Body((step, result, held, rate, speed) =>
            {
                if (step % 50 == 0 || step == steps - 1)
                {
                    double left = clock.Elapsed.TotalSeconds / (step + 1 - done) * (steps - step - 1);
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Line(step, result, held, rate, speed)}  {left:F0} s left"));
                }
            });
        }

        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"held-out loss {heldOut:F3} nats per byte, entropy of single bytes {corpus.UnigramEntropy:F3}"));
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine(generated);
    }

    /// <summary>Runs a body on every rank of a mesh.</summary>
    public void World(GptMesh mesh, Action<RankContext, IGptRank> body)
    {
        using var world = Shardwright.World.InProcess(mesh.Mesh, options with { Links = Links(mesh) });
        world.Run(
            context =>
            {
                using IGptRank gpt = options.Backend == Backend.Host ? mesh.Make(context, seed) : Accelerators.Make(mesh.Name, context, seed);
                body(context, gpt);
            },
            cancellation);
    }

    /// <summary>The links of the axes that a mesh has: a comparison runs meshes that lack some.</summary>
    private Dictionary<string, LinkModel> Links(GptMesh mesh) => options.Links!.Where(l => mesh.Mesh.Axes.Any(a => a.Name == l.Key)).ToDictionary();

    /// <summary>Arrays of a batch, and the tensors over them.</summary>
    public static (int[] Ids, int[] Targets, TokenTensor IdTensor, TokenTensor TargetTensor) Batch()
    {
        int[] ids = new int[Gpt.Batch * Gpt.Context], targets = new int[ids.Length];
        return (ids, targets, TokenTensor.Of(ids, Gpt.Batch, Gpt.Context), TokenTensor.Of(targets, Gpt.Batch, Gpt.Context));
    }

    /// <summary>Fills the batch of a step.</summary>
    public void Fill(int step, int[] ids, int[] targets) => corpus.Fill(seed, step, ids, targets);

    private static string Line(int step, StepResult result, double heldOut, float rate, double speed) => string.Create(
        CultureInfo.InvariantCulture,
        $"step {step + 1,5}  loss {result.Loss:F3}  held out {(double.IsNaN(heldOut) ? "    -" : heldOut.ToString("F3", CultureInfo.InvariantCulture))}  lr {rate:0.0e+0}  norm {result.GradientNorm:F2}  {speed:N0} tokens/s");

    private double HeldOut(IGptRank gpt)
    {
        (int[] idArray, int[] targetArray, TokenTensor ids, TokenTensor targets) = Batch();
        double sum = 0, weight = 0;
        for (int batch = 0; batch < corpus.HeldOutBatches; batch++)
        {
            corpus.FillHeldOut(batch, idArray, targetArray);
            StepResult result = gpt.Evaluate(ids, targets);
            sum += result.LossSum;
            weight += result.Weight;
        }

        return sum / weight;
    }

    /// <summary>Samples byte after byte; all ranks draw the same numbers.</summary>
    private string Generate(IGptRank gpt, string prompt)
    {
        const double Temperature = 0.7;
        (int[] ids, _, TokenTensor tensor, _) = Batch();
        List<byte> text = [.. Encoding.UTF8.GetBytes(prompt)];
        var key = new RandomKey(seed, 0, RandomKey.Hash("sample"));
        for (int n = 0; n < GeneratedBytes; n++)
        {
            int length = Math.Min(text.Count, Gpt.Context);
            for (int i = 0; i < length; i++)
            {
                ids[i] = text[text.Count - length + i];
            }

            ReadOnlySpan<float> logits = gpt.Forward(tensor).Span.Slice((length - 1) * Gpt.Vocab, Gpt.Vocab);
            float max = logits[0];
            foreach (float logit in logits)
            {
                max = Math.Max(max, logit);
            }

            double total = 0;
            foreach (float logit in logits)
            {
                total += Math.Exp((logit - max) / Temperature);
            }

            double left = total * Philox.Unit(Philox.At(key, (ulong)n));
            int next = 0;
            for (; next < Gpt.Vocab - 1; next++)
            {
                left -= Math.Exp((logits[next] - max) / Temperature);
                if (left <= 0)
                {
                    break;
                }
            }

            text.Add((byte)next);
        }

        return Encoding.UTF8.GetString([.. text]);
    }
}
