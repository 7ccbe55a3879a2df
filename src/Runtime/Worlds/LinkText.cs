using System.Globalization;

namespace Shardwright;

/// <summary>Links as people write them on a command line.</summary>
public static class LinkText
{
    private static readonly (string Unit, double Factor)[] s_rates =
    [
        ("Tbps", 1e12 / 8), ("Gbps", 1e9 / 8), ("Mbps", 1e6 / 8), ("kbps", 1e3 / 8), ("GB/s", 1e9), ("MB/s", 1e6),
    ];

    private static readonly (string Unit, double Factor)[] s_times = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1)];

    /// <summary>Reads a link: <c>10Gbps,50us</c>; <c>tp=10Gbps,50us</c> for one axis, without the axis for all of a mesh; the word <c>shared</c> after a further comma for one link that all ranks share.</summary>
    /// <param name="text">The text.</param>
    /// <param name="mesh">The mesh; axes are named by it.</param>
    /// <exception cref="FormatException">The text is no link, or names no axis of the mesh: the message says what is allowed.</exception>
    public static IReadOnlyDictionary<string, LinkModel> Parse(string text, Mesh mesh)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        string axis = equals < 0 ? "" : text[..equals].Trim();
        if (axis.Length > 0 && mesh.Axes.All(a => a.Name != axis))
        {
            throw new FormatException($"Link '{text}': the mesh has no axis '{axis}'; it has {(mesh.Axes.Count == 0 ? "none" : string.Join(", ", mesh.Axes.Select(a => a.Name)))}.");
        }

        string[] parts = text[(equals + 1)..].Split(',', StringSplitOptions.TrimEntries);
        bool shared = parts.Length == 3 && parts[2] == "shared";
        if ((parts.Length != 2 && !shared) || Number(parts[0], s_rates) is not { } rate || Number(parts[1], s_times) is not { } latency)
        {
            throw new FormatException($"Link '{text}' cannot be read: write a rate and a latency, as 10Gbps,50us or tp=25GB/s,5us,shared; rates in {Units(s_rates)}, latencies in {Units(s_times)}.");
        }

        var model = new LinkModel(TimeSpan.FromTicks((long)Math.Round(latency * TimeSpan.TicksPerSecond)), rate, shared ? LinkSharing.Shared : LinkSharing.PerPair);
        if (model.Fault is { } fault)
        {
            throw new FormatException($"Link '{text}' has {fault}.");
        }

        return mesh.Axes.Where(a => axis.Length == 0 || a.Name == axis).ToDictionary(a => a.Name, _ => model);
    }

    private static double? Number(string text, (string Unit, double Factor)[] units)
    {
        foreach ((string unit, double factor) in units)
        {
            if (text.EndsWith(unit, StringComparison.OrdinalIgnoreCase) && double.TryParse(text[..^unit.Length], NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number))
            {
                return number * factor;
            }
        }

        return null;
    }

    private static string Units((string Unit, double Factor)[] units) => string.Join(", ", units.Select(u => u.Unit));
}
