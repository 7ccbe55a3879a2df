using System.Diagnostics;
using System.Runtime.Intrinsics;

namespace Shardwright.Tests;

/// <summary>The kernels again in processes whose hardware support is switched off: the paths that other machines take.</summary>
public sealed class HardwarePathTests
{
    [Theory]
    [InlineData("wide vectors off", "DOTNET_EnableAVX512", "DOTNET_EnableAVX512F")]
    [InlineData("vectors of 256 bits off", "DOTNET_EnableAVX2", "DOTNET_EnableAVX2")]
    [InlineData("all off", "DOTNET_EnableHWIntrinsic", "DOTNET_EnableHWIntrinsic")]
    public async Task KernelsFollowTheirFormulasOnEveryPath(string what, params string[] switches)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        start.ArgumentList.Add("exec");
        start.ArgumentList.Add(typeof(HardwarePathTests).Assembly.Location);
        foreach (string name in switches)
        {
            start.Environment[name] = "0";
        }

        using Process child = Process.Start(start)!;
        Task<string> output = child.StandardOutput.ReadToEndAsync(), error = child.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(4));
        try
        {
            await child.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            child.Kill();
            Assert.Fail($"{what}: the kernels were not done after four minutes");
        }

        Assert.True(child.ExitCode == 0, $"{what}: {await output}{await error}");
        if (what == "wide vectors off" && Vector256.IsHardwareAccelerated)
        {
            Assert.Contains($"{AttentionTests.Bits()} {KernelTests.Bits()}", await output, StringComparison.Ordinal);
        }

        Assert.Contains(what == "wide vectors off" ? "512 off" : "256 off", await output, StringComparison.Ordinal);
    }
}
