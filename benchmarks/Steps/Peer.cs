using System.Diagnostics;
using System.Globalization;

namespace Shardwright.Benchmarks.Steps;

/// <summary>PyTorch in a process of its own, which runs steps when it is told to: so both take turns on the same machine.</summary>
internal sealed class Peer : IDisposable
{
    private readonly Process _process;

    private Peer(Process process, string version)
    {
        _process = process;
        Version = version;
    }

    public string Version { get; }

    /// <summary>Starts a script that may use a number of threads; null where there is no Python with PyTorch.</summary>
    /// <remarks>OpenBLAS has threads of its own, which torch.set_num_threads does not reach: without the variable a peer of one thread computes its products on all cores.</remarks>
    public static Peer? Start(string python, string script, int threads, params object[] arguments)
    {
        var start = new ProcessStartInfo(python) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, script));
        start.Environment["OPENBLAS_NUM_THREADS"] = start.Environment["OMP_NUM_THREADS"] = threads.ToString(CultureInfo.InvariantCulture);
        foreach (object argument in arguments)
        {
            start.ArgumentList.Add(Convert.ToString(argument, CultureInfo.InvariantCulture)!);
        }

        try
        {
            Process process = Process.Start(start)!;
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            string? ready = process.StandardOutput.ReadLine();
            if (ready is null || !ready.StartsWith("ready ", StringComparison.Ordinal))
            {
                process.Dispose();
                return null;
            }

            return new Peer(process, ready["ready ".Length..]);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    /// <summary>Runs steps; seconds of one.</summary>
    public double Step(int count)
    {
        _process.StandardInput.WriteLine($"step {count}");
        _process.StandardInput.Flush();
        return double.Parse(_process.StandardOutput.ReadLine() ?? throw new InvalidOperationException("The peer has ended."), CultureInfo.InvariantCulture);
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit(5000);
        _process.Dispose();
    }
}
