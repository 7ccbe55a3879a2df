using System.Globalization;
using Shardwright.Cli.Assemblies;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Cli.Plans;

/// <summary>Devices by the name of their class: ours, and any class with [DeviceSpec] that an assembly reaches.</summary>
internal static class DeviceSpecs
{
    /// <summary>The device that a short or full name means.</summary>
    public static DeviceDefinition Find(string name, AssemblySet set)
    {
        var devices = set.Devices().ToList();
        var found = devices.Where(d => d.FullName == name).ToList();
        found = found.Count > 0 ? found : [.. devices.Where(d => d.FullName.EndsWith("." + name, StringComparison.Ordinal))];
        return found.Count switch
        {
            1 => Read(found[0]),
            0 => throw CliException.Usage($"--device {name}: neither '{set.Root.Path}' nor what it refers to has such a class with [DeviceSpec]: {Suggestions.For(name, devices.Select(d => d.ShortName), "devices")}"),
            _ => throw CliException.Usage($"--device {name} may be {string.Join(" or ", found.Select(d => d.FullName))}: write the full name"),
        };
    }

    private static DeviceDefinition Read(AssemblyClass type)
    {
        double Number(string name, double otherwise) => type.Device!.Named.TryGetValue(name, out object? value) && value is not null ? Convert.ToDouble(value, CultureInfo.InvariantCulture) : otherwise;
        double memory = Number("MemoryBytes", 16.0 * (1L << 30));
        return new DeviceDefinition(
            type.ShortName, (long)memory, (long)Number("UsableBytes", memory), (long)Number("ReserveBytes", 0),
            Number("BandwidthGBs", 20), Number("Fp32TFlops", 0.1), Number("Bf16TFlops", 0), Number("LaunchMicroseconds", 0), (int)Number("MaxThreads", 16),
            Number("StepMicroseconds", 0), type.Efficiencies.Where(e => e.Arguments.Count == 3).Select(e => new EfficiencyPoint(
                (WorkKind)Convert.ToInt32(e.Arguments[0], CultureInfo.InvariantCulture), Convert.ToDouble(e.Arguments[1], CultureInfo.InvariantCulture), Convert.ToDouble(e.Arguments[2], CultureInfo.InvariantCulture))).ToEquatable());
    }
}
