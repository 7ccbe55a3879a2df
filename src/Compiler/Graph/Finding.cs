namespace Shardwright.Compiler.Graph;

/// <summary>Something that is wrong with a model, as data. Analyzers turn it into a diagnostic; the generator into a surface that throws.</summary>
/// <param name="Id">SWnnnn.</param>
/// <param name="TypeName">Type whose source holds the place: full name with assembly.</param>
/// <param name="Site">Location id within that type; −1 for the type itself.</param>
/// <param name="Message">The whole message: thing, number, way out.</param>
public sealed record Finding(string Id, string TypeName, int Site, string Message)
{
    /// <summary>Ways to put it right, the best one first.</summary>
    public EquatableArray<Fix> Fixes { get; init; }

    /// <summary>The number that a threshold is compared with, in the unit of the threshold; null where the rule has none.</summary>
    public double? Measure { get; init; }

    /// <summary>The place, written as "Type#site".</summary>
    public string Place => TypeName + "#" + Site.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Ends a place that calls what lies in another assembly: there one can speak of it, but not edit it.</summary>
    public const string Elsewhere = "^";

    /// <summary>Makes a finding at a place that is written as "Type#site".</summary>
    public static Finding At(string id, string place, string message)
    {
        place = place.EndsWith(Elsewhere, StringComparison.Ordinal) ? place.Substring(0, place.Length - Elsewhere.Length) : place;
        int hash = place.LastIndexOf('#');
        return hash >= 0 && int.TryParse(place.Substring(hash + 1), out int site)
            ? new Finding(id, place.Substring(0, hash), site, message)
            : new Finding(id, place, -1, message);
    }

    /// <summary>SW9002: a fault of the compiler itself, said where it was at work.</summary>
    /// <param name="place">Where: Type#site, or a type.</param>
    /// <param name="fault">What was thrown.</param>
    /// <param name="doing">What was done meanwhile: "'Net' on 'Lab' was planned".</param>
    /// <param name="meanwhile">What goes on without it.</param>
    public static Finding OfFault(string place, Exception fault, string doing, string meanwhile) => At(
        "SW9002", place, $"the compiler failed: {fault.GetType().Name}: {fault.Message.Split('\n')[0].Trim()} ({doing}); the fault is in Shardwright, not in your code: please report it with the source, and {meanwhile} until it is mended");

    /// <summary>Whether a plan can stand beside it.</summary>
    public bool IsError => Id is not ("SW0006" or "SW1005" or "SW1006" or "SW1007" or "SW1008" or "SW1010" or "SW2002" or "SW2004" or "SW2005" or "SW3001" or "SW3002" or "SW3004" or "SW4001" or "SW9001");
}
