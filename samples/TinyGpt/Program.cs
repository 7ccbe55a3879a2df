using System.CommandLine;
using System.Globalization;
using Shardwright;
using Shardwright.Execution;
using Shardwright.Observability;
using Spectre.Console;

namespace TinyGpt;

/// <summary>The command line of the sample.</summary>
public static class Program
{
    /// <summary>Training steps that a trace holds: a file that browsers open at once.</summary>
    private const int TracedSteps = 10;

    /// <summary>Trains, or compares meshes.</summary>
    /// <returns>0; 1 where the input cannot be used; 130 after Ctrl-C.</returns>
    public static int Main(string[] arguments)
    {
        var mesh = new Option<string>("--mesh") { Description = "Mesh to train on: " + string.Join(", ", GptMesh.All.Select(m => m.Name)), DefaultValueFactory = _ => "Single" };
        var text = new Option<string?>("--text") { Description = "A file or folder of text; the repository's own sources by default" };
        var steps = new Option<int?>("--steps") { Description = "Optimizer steps: 800 by default, 10 with --compare" };
        var seed = new Option<ulong?>("--seed") { Description = "Seed of parameters and batches: 42 by default, that of the checkpoint with --resume" };
        var threads = new Option<int>("--threads") { Description = "Threads of each rank; the cores shared out by default", DefaultValueFactory = _ => 0 };
        var compare = new Option<bool>("--compare") { Description = "Runs all meshes from one seed and prints losses and gradients side by side" };
        var save = new Option<string?>("--save") { Description = "Folder to save checkpoints to" };
        var saveEvery = new Option<int>("--save-every") { Description = "Steps between two checkpoints", DefaultValueFactory = _ => 100 };
        var resume = new Option<string?>("--resume") { Description = "Folder that a run was saved to, or one checkpoint in it: goes on from there, on any mesh. With the folder of --save, a run starts anew where nothing has been saved yet" };
        var export = new Option<string?>("--export") { Description = "File to write the trained weights to, in the safetensors format" };
        var device = new Option<string>("--device") { Description = "Where the ranks run: cpu; cuda, opencl or ilgpu-cpu through ILGPU; auto takes a GPU where there is one", DefaultValueFactory = _ => "cpu" };
        device.AcceptOnlyFromAmong("cpu", "cuda", "opencl", "ilgpu-cpu", "auto");
        var link = new Option<string[]>("--link") { Description = "Gives messages the time of a network: 10Gbps,50us for all axes, tp=25GB/s,5us for one", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [] };
        var trace = new Option<string?>("--trace") { Description = "File to write a trace of all ranks to: kernels, messages, waits, for ui.perfetto.dev or chrome://tracing; of a long run, its first 10 training steps" };
        var root = new RootCommand("Trains a byte-level GPT, sharded over a mesh of ranks.") { mesh, text, steps, seed, threads, device, compare, save, saveEvery, resume, export, link, trace };
        root.SetAction(parsed =>
        {
            GptMesh? chosen = GptMesh.All.FirstOrDefault(m => string.Equals(m.Name, parsed.GetValue(mesh), StringComparison.OrdinalIgnoreCase));
            if (chosen is null)
            {
                return Fail($"There is no mesh '{parsed.GetValue(mesh)}': use {string.Join(", ", GptMesh.All.Select(m => m.Name))}.");
            }

            Checkpoint? from;
            try
            {
                if (parsed.GetValue(compare) && (parsed.GetValue(resume) ?? parsed.GetValue(save) ?? parsed.GetValue(export) ?? parsed.GetValue(trace)) is { } unused)
                {
                    return Fail($"'{unused}' cannot be used with --compare, whose runs are short and all start anew: leave --save, --resume, --export and --trace out.");
                }

                from = Resume(parsed.GetValue(resume), parsed.GetValue(save), chosen);
            }
            catch (Exception error) when (error is CheckpointException or ArgumentException)
            {
                return Fail(error.Message);
            }

            int planned = from is not null && int.TryParse(from.Notes.GetValueOrDefault(RunFiles.StepsNote), CultureInfo.InvariantCulture, out int noted) ? noted : 800;
            int count = parsed.GetValue(steps) ?? (parsed.GetValue(compare) ? 10 : planned), perRank = parsed.GetValue(threads), every = parsed.GetValue(saveEvery);
            if (count < 1 || perRank < 0 || perRank > 16 || every < 1)
            {
                return Fail($"--steps {count}, --threads {perRank} and --save-every {every}: steps must be 1 or more, threads 0 (automatic) to 16, steps between checkpoints 1 or more.");
            }

            if (from is not null && (from.Step > count || (parsed.GetValue(seed) ?? from.Seed) != from.Seed))
            {
                return Fail(from.Step > count
                    ? $"'{from.Path}' has done {from.Step} steps already, more than --steps {count}: give a larger number."
                    : $"'{from.Path}' was trained with seed {from.Seed}, not {parsed.GetValue(seed)}: leave --seed out to go on with it.");
            }

            if (Console.IsOutputRedirected)
            {
                AnsiConsole.Profile.Width = 160; // a file has no width to wrap at
            }

            Backend backend;
            FileStream? traceFile = null;
            var links = new Dictionary<string, LinkModel>();
            try
            {
                foreach ((string axis, LinkModel model) in parsed.GetValue(link)!.SelectMany(l => LinkText.Parse(l, parsed.GetValue(compare) ? GptMesh.All.MaxBy(m => m.Mesh.Axes.Count)!.Mesh : chosen.Mesh)))
                {
                    links[axis] = model;
                }

                traceFile = parsed.GetValue(trace) is { } path ? TraceFile.Create(path) : null;
                (backend, string? note) = Accelerators.Open(parsed.GetValue(device)!, parsed.GetValue(compare) ? null : chosen);
                if (note is not null)
                {
                    Console.Error.WriteLine(note);
                }
            }
            catch (Exception error) when (error is ArgumentException or FormatException or IOException)
            {
                return Fail(error.Message);
            }

            using FileStream? traced = traceFile;

            using var opened = backend as IDisposable;
            using var stop = new CancellationTokenSource();
            ConsoleCancelEventHandler cancel = (_, pressed) =>
            {
                pressed.Cancel = true;
                stop.Cancel();
            };
            Console.CancelKeyPress += cancel;
            try
            {
                ByteCorpus corpus = ByteCorpus.Load(parsed.GetValue(text) ?? Sources(), Gpt.Context, Gpt.Batch, parsed.GetValue(text) is null ? [".cs", ".md"] : []);
                var files = new RunFiles(from, parsed.GetValue(save), every, parsed.GetValue(export));
                var options = new WorldOptions { ThreadsPerRank = perRank, Backend = backend, Links = links, Trace = traced is null ? null : new TraceRecorder { TrainingSteps = TracedSteps } };
                var run = new Run(corpus, count, from?.Seed ?? parsed.GetValue(seed) ?? 42, options, files, stop.Token);
                if (parsed.GetValue(compare))
                {
                    Comparison.Print(run);
                }
                else
                {
                    run.Train(chosen);
                    if (traced is not null)
                    {
                        TraceFile.Write(traced, options.Trace!, chosen.Plan());
                    }
                }

                return 0;
            }
            catch (OperationCanceledException)
            {
                AnsiConsole.MarkupLine("[yellow]Stopped.[/]");
                return 130;
            }
            catch (CorpusException error)
            {
                return Fail(error.Message);
            }
            catch (RankFailedException error)
            {
                return Fail(error.Message);
            }
            finally
            {
                Console.CancelKeyPress -= cancel;
            }
        });
        return root.Parse(arguments).Invoke();
    }

    /// <summary>The checkpoint to go on from, read and checked before anything is allocated.</summary>
    private static Checkpoint? Resume(string? path, string? saveTo, GptMesh mesh)
    {
        if (saveTo is not null && path is null && Checkpoint.Exists(saveTo))
        {
            throw new CheckpointException(saveTo, "holds the checkpoints of another run: go on with it by --resume, or give another folder with --save.");
        }

        if (saveTo is not null)
        {
            Checkpoint.RequireWritable(saveTo);
        }

        if (path is null || (saveTo is not null && Path.GetFullPath(path) == Path.GetFullPath(saveTo) && !Checkpoint.Exists(path)))
        {
            return null;
        }

        Checkpoint checkpoint = Checkpoint.Open(path);
        checkpoint.RequireModel(mesh.Plan());
        checkpoint.Verify();
        return checkpoint;
    }

    private static int Fail(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }

    /// <summary>The folder of the repository, found from the program's own place or the current folder.</summary>
    private static string Sources()
    {
        foreach (string start in new[] { AppContext.BaseDirectory, Environment.CurrentDirectory })
        {
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Generators.sln")))
                {
                    return folder.FullName;
                }
            }
        }

        throw new CorpusException("The repository's sources were not found from here: give a text with --text PATH.");
    }
}
