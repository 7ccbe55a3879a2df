using System.Globalization;
using Shardwright.Cli.Assemblies;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Machine;

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

    private static DeviceDefinition Read(AssemblyClass type) => DeviceDefinition.Read(
        type.ShortName,
        property => type.Device!.Named.TryGetValue(property, out object? value) && value is not null ? Convert.ToDouble(value, CultureInfo.InvariantCulture) : null,
        type.Efficiencies.Select(Point).OfType<EfficiencyPoint>());

    private static EfficiencyPoint? Point(AttributeValues point) =>
        point.Arguments is [int kind, double size, double share] && Enum.IsDefined((WorkKind)kind) ? new EfficiencyPoint((WorkKind)kind, size, share) : null;
}
