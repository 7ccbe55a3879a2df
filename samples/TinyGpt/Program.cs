using System.CommandLine;
using Shardwright;
using Spectre.Console;

namespace TinyGpt;

/// <summary>The command line of the sample.</summary>
public static class Program
{
    /// <summary>Trains, or compares meshes.</summary>
    /// <returns>0; 1 where the input cannot be used; 130 after Ctrl-C.</returns>
    public static int Main(string[] arguments)
    {
        var mesh = new Option<string>("--mesh") { Description = "Mesh to train on: " + string.Join(", ", GptMesh.All.Select(m => m.Name)), DefaultValueFactory = _ => "Single" };
        var text = new Option<string?>("--text") { Description = "A file or folder of text; the repository's own sources by default" };
        var steps = new Option<int?>("--steps") { Description = "Optimizer steps: 800 by default, 10 with --compare" };
        var seed = new Option<ulong>("--seed") { Description = "Seed of parameters and batches", DefaultValueFactory = _ => 42 };
        var threads = new Option<int>("--threads") { Description = "Threads of each rank; the cores shared out by default", DefaultValueFactory = _ => 0 };
        var compare = new Option<bool>("--compare") { Description = "Runs all meshes from one seed and prints losses and gradients side by side" };
        var root = new RootCommand("Trains a byte-level GPT, sharded over a mesh of ranks.") { mesh, text, steps, seed, threads, compare };
        root.SetAction(parsed =>
        {
            GptMesh? chosen = GptMesh.All.FirstOrDefault(m => string.Equals(m.Name, parsed.GetValue(mesh), StringComparison.OrdinalIgnoreCase));
            if (chosen is null)
            {
                return Fail($"There is no mesh '{parsed.GetValue(mesh)}': use {string.Join(", ", GptMesh.All.Select(m => m.Name))}.");
            }

            int count = parsed.GetValue(steps) ?? (parsed.GetValue(compare) ? 10 : 800), perRank = parsed.GetValue(threads);
            if (count < 1 || perRank < 0 || perRank > 16)
            {
                return Fail($"--steps {count} and --threads {perRank}: steps must be 1 or more, threads 0 (automatic) to 16.");
            }

            if (Console.IsOutputRedirected)
            {
                AnsiConsole.Profile.Width = 160; // a file has no width to wrap at
            }

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
                var run = new Run(corpus, count, parsed.GetValue(seed), perRank, stop.Token);
                if (parsed.GetValue(compare))
                {
                    Comparison.Print(run);
                }
                else
                {
                    run.Train(chosen);
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
