using System.Globalization;

namespace Shardwright.Compiler.Machine;

/// <summary>Whether the numbers of a mesh's device and links can be true: a plan made of absurd ones would only look like a plan.</summary>
public static class SpecCheck
{
    private const long MostMemory = 1L << 50;

    /// <summary>What is wrong, each as a whole message; empty where nothing is.</summary>
    public static IEnumerable<string> Faults(MeshDefinition mesh) =>
        Axes(mesh).Concat(Faults(mesh.Device)).Concat(mesh.Axes.SelectMany(a => Faults(a.Link, a.Name))).Distinct();

    private static IEnumerable<string> Axes(MeshDefinition mesh)
    {
        foreach (MeshAxisDefinition axis in mesh.Axes.Where(a => a.Size < 1))
        {
            yield return $"axis '{axis.Name}' of '{mesh.ShortName}' has {axis.Size.ToString(CultureInfo.InvariantCulture)} ranks: an axis has 1 or more; leave it out where there is none";
        }

        foreach (MeshAxisDefinition axis in mesh.Axes.Where(a => !a.Name.Any(char.IsLetterOrDigit)))
        {
            yield return $"an axis of '{mesh.ShortName}' is called '{axis.Name}': a name has a letter or a digit at least, as \"tp\"";
        }

        // Coordinates and groups of ranks are named after axes, in code that does not tell "t-p" from "tp".
        foreach (IGrouping<string, MeshAxisDefinition> alike in mesh.Axes.Where(a => a.Name.Any(char.IsLetterOrDigit)).GroupBy(a => new string(a.Name.Where(char.IsLetterOrDigit).ToArray())).Where(g => g.Count() > 1))
        {
            yield return $"'{mesh.ShortName}' has {alike.Count()} axes that are called alike ({string.Join(", ", alike.Select(a => $"'{a.Name}'"))}): a placement must say which is meant; give each a name of its own letters and digits";
        }
    }

    private static IEnumerable<string> Faults(DeviceDefinition device)
    {
        string name = $"device '{device.Name}'";
        if (!device.HasSpec)
        {
            yield return $"{name} has no [DeviceSpec]: add one with its memory, bandwidth and peak, or use a class of Devices";
            yield break;
        }

        if (device.MemoryBytes == 0)
        {
            yield return $"{name} has no memory figure: give MemoryBytes in its [DeviceSpec], as 80L << 30 for 80 GiB";
            yield break;
        }

        if (device.MemoryBytes < 1 << 20 || device.MemoryBytes > MostMemory)
        {
            yield return $"MemoryBytes of {name} is {Text(device.MemoryBytes)}: memory is given in bytes, from 1 MiB to 1 PiB, as 80L << 30 for 80 GiB";
            yield break;
        }

        if (device.UsableBytes <= 0 || device.UsableBytes > device.MemoryBytes)
        {
            yield return $"UsableBytes of {name} is {Text(device.UsableBytes)}: it lies between 1 and MemoryBytes, {Text(device.MemoryBytes)}; leave it out where a program gets all of it";
        }
        else if (device.ReserveBytes < 0 || device.ReserveBytes >= device.UsableBytes)
        {
            yield return $"ReserveBytes of {name} is {Text(device.ReserveBytes)}: it lies between 0 and UsableBytes, {Text(device.UsableBytes)}";
        }

        foreach (string fault in new[]
        {
            Range(name, "BandwidthGBs", device.BandwidthGBs, 0.01, 1e6, "10⁹ bytes per second, as 3350 for an H100"),
            Range(name, "Fp32TFlops", device.Fp32TFlops, 1e-6, 1e5, "10¹² operations per second, as 67 for an H100"),
            device.Bf16TFlops == 0 ? "" : Range(name, "Bf16TFlops", device.Bf16TFlops, 1e-6, 1e6, "10¹² operations per second; leave it out where there is none"),
            device.Fp16TFlops == 0 ? "" : Range(name, "Fp16TFlops", device.Fp16TFlops, 1e-6, 1e6, "10¹² operations per second; leave it out where there is none"),
            Range(name, "LaunchMicroseconds", device.LaunchMicroseconds, 0, 1e5, "microseconds, as 4 for a GPU"),
            Range(name, "StepMicroseconds", device.StepMicroseconds, 0, 1e7, "microseconds"),
            Range(name, "MaxThreads", device.MaxThreads, 1, 4096, "threads of a rank"),
        }.Where(f => f.Length > 0))
        {
            yield return fault;
        }

        foreach (EfficiencyPoint point in device.Efficiencies.Where(p => !(p.Share > 0 && p.Share <= 1) || !(p.Size > 0) || double.IsInfinity(p.Size)))
        {
            yield return $"[DeviceEfficiency(WorkKind.{point.Kind}, {Text(point.Size)}, {Text(point.Share)})] of {name}: the size is more than 0, and the share of the peak more than 0 and at most 1";
        }
    }

    private static IEnumerable<string> Faults(LinkDefinition link, string axis)
    {
        string name = $"link '{link.Name}' of axis '{axis}'";
        return link.BandwidthGBs == 0 && link.LatencyMicroseconds == 0 ? new[] { $"{name} has no [LinkSpec]: add one with its bandwidth and latency, or use a class of Links" } : new[]
        {
            Range(name, "BandwidthGBs", link.BandwidthGBs, 1e-4, 1e5, "10⁹ bytes per second one way, as 1.25 for 10 Gb/s"),
            Range(name, "LatencyMicroseconds", link.LatencyMicroseconds, 0, 1e7, "microseconds"),
        }.Where(f => f.Length > 0);
    }

    private static string Range(string thing, string figure, double value, double least, double most, string unit) =>
        value >= least && value <= most ? "" : $"{figure} of {thing} is {Text(value)}: it lies between {Text(least)} and {Text(most)}, in {unit}";

    private static string Text(double value) => value.ToString("G6", CultureInfo.InvariantCulture);

    private static string Text(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
