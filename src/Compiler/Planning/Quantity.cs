using System.Globalization;

namespace Shardwright.Compiler.Planning;

/// <summary>Quantities as messages show them.</summary>
internal static class Quantity
{
    /// <summary>A size: <c>1.5 GiB</c>.</summary>
    public static string Bytes(long bytes) => bytes switch
    {
        < 1L << 10 => $"{bytes} B",
        < 1L << 20 => Scaled(bytes, 1 << 10) + " KiB",
        < 1L << 30 => Scaled(bytes, 1 << 20) + " MiB",
        _ => Scaled(bytes, 1 << 30) + " GiB",
    };

    /// <summary>A time: <c>12.3 ms</c>.</summary>
    public static string Time(double seconds) => seconds switch
    {
        < 1e-3 => Digits(seconds * 1e6) + " µs",
        < 1 => Digits(seconds * 1e3) + " ms",
        _ => Digits(seconds) + " s",
    };

    /// <summary>A share: <c>41.5 %</c>.</summary>
    public static string Share(double share) => (100 * share).ToString("0.#", CultureInfo.InvariantCulture) + " %";

    private static string Scaled(long bytes, double unit) => (bytes / unit).ToString("0.##", CultureInfo.InvariantCulture);

    private static string Digits(double value) => value.ToString(value < 10 ? "0.##" : value < 100 ? "0.#" : "0", CultureInfo.InvariantCulture);
}
