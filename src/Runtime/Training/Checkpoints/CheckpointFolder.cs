using System.Globalization;
using System.Text.RegularExpressions;

namespace Shardwright.Training;

/// <summary>A folder of checkpoints, one folder for each, and a file that names the last complete one. A checkpoint is written under a name of its own
/// that says it is not complete, then renamed, then pointed to: whenever a run ends, the file names a complete checkpoint.</summary>
internal sealed partial class CheckpointFolder(string root)
{
    /// <summary>The file that names the last complete checkpoint.</summary>
    public const string LatestName = "latest";

    /// <summary>The folder.</summary>
    public string Root { get; } = Path.GetFullPath(root);

    private string LatestFile => Path.Combine(Root, LatestName);

    /// <summary>Where a checkpoint is written until it is complete.</summary>
    public string PartialFolder(int step) => Path.Combine(Root, Name(step) + Durable.Partial);

    /// <summary>Folder that holds the index of what a path means: a checkpoint itself, or the last complete one of a folder of checkpoints.</summary>
    /// <exception cref="CheckpointException">There is none.</exception>
    public static string Resolve(string path)
    {
        string full = Path.GetFullPath(path);
        if (File.Exists(Path.Combine(full, CheckpointIndex.FileName)))
        {
            return full;
        }

        if (!Directory.Exists(full))
        {
            throw new CheckpointException(path, File.Exists(full) ? "is a file: give the folder that a run was saved to." : "does not exist: give the folder that a run was saved to.");
        }

        var folder = new CheckpointFolder(full);
        string[] complete = [.. folder.Complete().Select(c => c.Name)];
        string others = complete.Length == 0 ? "It holds no complete checkpoint." : $"Complete ones in it: {string.Join(", ", complete)}; give the path of one of them.";
        if (!File.Exists(folder.LatestFile))
        {
            throw new CheckpointException(path, $"has no file '{LatestName}', which names the last complete checkpoint. {others}");
        }

        string? latest = folder.Latest();
        return latest is not null && File.Exists(Path.Combine(full, latest, CheckpointIndex.FileName))
            ? Path.Combine(full, latest)
            : throw new CheckpointException(folder.LatestFile, $"is damaged: it names {(latest is null ? "no checkpoint" : $"'{latest}', which is not there")}. {others}");
    }

    /// <summary>Whether a path holds a complete checkpoint.</summary>
    public static bool Holds(string path) => File.Exists(Path.Combine(path, CheckpointIndex.FileName)) || File.Exists(Path.Combine(path, LatestName));

    /// <summary>Makes the folder, and writes a file in it.</summary>
    public void Probe() => Writable(() =>
    {
        Directory.CreateDirectory(Root);
        string file = Path.Combine(Root, "probe" + Durable.Partial);
        File.WriteAllBytes(file, []);
        File.Delete(file);
    });

    /// <summary>Makes room for a checkpoint: what earlier runs did not complete is deleted.</summary>
    public void Begin(int step) => Writable(() =>
    {
        Directory.CreateDirectory(Root);
        foreach (string stale in Directory.GetDirectories(Root, "step-*" + Durable.Partial))
        {
            Directory.Delete(stale, recursive: true);
        }

        Directory.CreateDirectory(PartialFolder(step));
    });

    /// <summary>Makes what was written the last complete checkpoint, and deletes older ones.</summary>
    public void Commit(int step, byte[] index, int keep)
    {
        string partial = PartialFolder(step);
        try
        {
            Durable.Replace(Path.Combine(partial, CheckpointIndex.FileName), index);

            // A step may be saved again, after a resume from before it: what is pointed to is never touched.
            string? latest = Latest();
            string name = Name(step) == latest ? Name(step) + "-2" : Name(step), final = Path.Combine(Root, name);
            Discard(final);
            Directory.Move(partial, final);
            Durable.FlushFolder(Root);
            Durable.Replace(LatestFile, System.Text.Encoding.UTF8.GetBytes(name + "\n"));
            foreach ((string older, int _) in Complete().Where(c => c.Step <= step && c.Name != name).OrderByDescending(c => c.Step).ThenByDescending(c => c.Name, StringComparer.Ordinal).Skip(keep - 1))
            {
                Discard(Path.Combine(Root, older));
            }
        }
        catch (Exception error) when (Durable.Refused(error))
        {
            throw new CheckpointException(partial, $"could not be completed: {error.Message} The checkpoint before it is untouched.", error);
        }
    }

    private void Writable(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (Durable.Refused(error))
        {
            throw new CheckpointException(Root, $"cannot take checkpoints: {error.Message} Give a folder that can be written.", error);
        }
    }

    private static string Name(int step) => "step-" + step.ToString("D8", CultureInfo.InvariantCulture);

    /// <summary>Complete checkpoints, by the names of their folders.</summary>
    private IEnumerable<(string Name, int Step)> Complete() =>
        Directory.GetDirectories(Root).Select(d => NamePattern().Match(Path.GetFileName(d))).Where(m => m.Success && int.TryParse(m.Groups[1].Value, CultureInfo.InvariantCulture, out _))
            .Select(m => (m.Value, int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture))).OrderBy(c => c.Item2);

    /// <summary>What the file says; null where that is no name of a checkpoint.</summary>
    private string? Latest()
    {
        if (!File.Exists(LatestFile) || new FileInfo(LatestFile).Length > 64)
        {
            return null;
        }

        string name = File.ReadAllText(LatestFile).TrimEnd('\n');
        return NamePattern().IsMatch(name) ? name : null;
    }

    /// <summary>Deletes a checkpoint: under a name that says it is not complete, so that half of it is never taken for one.</summary>
    private static void Discard(string folder)
    {
        if (Directory.Exists(folder))
        {
            string stale = folder + ".old" + Durable.Partial;
            Directory.Move(folder, stale);
            Directory.Delete(stale, recursive: true);
        }
    }

    [GeneratedRegex(@"^step-(\d{8,10})(-2)?\z")]
    private static partial Regex NamePattern();
}
