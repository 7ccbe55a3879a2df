using Microsoft.CodeAnalysis;

namespace Shardwright.Analyzers;

/// <summary>All diagnostics: one place for IDs, titles and severities. Messages are made where the fault is found.</summary>
public static class Descriptors
{
    private const string Category = "Shardwright";

    private static readonly Dictionary<string, DiagnosticDescriptor> s_all = new[]
    {
        Error("SW0001", "Sharded class must be partial"),
        Error("SW0002", "Not supported in Forward"),
        Error("SW0003", "Shapes do not match"),
        Error("SW0004", "Size is not a compile-time constant"),
        Error("SW0005", "No single Forward or Loss"),
        Warning("SW0006", "Parameter or layer is never used"),
        Error("SW0007", "Layer has no graph"),
        Error("SW0008", "Not differentiable between parameter and loss"),
        Error("SW0009", "Two meshes would give one nested class"),
        Error("SW0010", "Graph was written by a newer version"),
        Error("SW1001", "Unknown mesh axis"),
        Error("SW1002", "Dim out of range"),
        Error("SW1003", "Dim not divisible by axis"),
        Error("SW1004", "Contradicting placements on one axis"),
        Warning("SW1005", "Partial value reaches a nonlinear op"),
        Info("SW1006", "Hidden reshard"),
        Info("SW1007", "Large parameter is whole on an axis that could split it"),
        Warning("SW1008", "Chatty axis lies on the slow link"),
        Warning("SW1010", "Large hidden reshard"),
        Error("SW2001", "Stages do not add up"),
        Warning("SW2002", "Stages are out of balance"),
        Error("SW2003", "Schedule cannot run with these counts"),
        Warning("SW2004", "Ranks wait in a pipeline bubble"),
        Info("SW2005", "Parameter is tied across stages"),
        Error("SW2006", "Value cannot pass between stages"),
        Error("SW2007", "Schedule is no step, or could stand still"),
        Make("SW3001", "Does not fit", DiagnosticSeverity.Error),
        Warning("SW3002", "Fits with less than a tenth to spare"),
        Error("SW3003", "Numbers of a device or link cannot be true"),
        Warning("SW3004", "Nothing to compute again"),
        Warning("SW4001", "Exposed communication"),
        Info("SW9001", "The plan in one line"),
        Error("SW9002", "The compiler itself failed"),
    }.ToDictionary(d => d.Id);

    /// <summary>All descriptors.</summary>
    public static ImmutableArray<DiagnosticDescriptor> All { get; } = s_all.Values.OrderBy(d => d.Id, StringComparer.Ordinal).ToImmutableArray();

    /// <summary>The descriptor of a fault of our own.</summary>
    public static DiagnosticDescriptor Fault => Of("SW9002");

    /// <summary>The descriptor of an ID.</summary>
    public static DiagnosticDescriptor Of(string id) => s_all[id];

    // An error leaves no valid plan: it cannot be configured away.
    private static DiagnosticDescriptor Error(string id, string title) => Make(id, title, DiagnosticSeverity.Error, WellKnownDiagnosticTags.NotConfigurable);

    private static DiagnosticDescriptor Warning(string id, string title) => Make(id, title, DiagnosticSeverity.Warning);

    private static DiagnosticDescriptor Info(string id, string title) => Make(id, title, DiagnosticSeverity.Info);

    private static DiagnosticDescriptor Make(string id, string title, DiagnosticSeverity severity, params string[] tags) =>
        new(id, title, "{0}", Category, severity, isEnabledByDefault: true, helpLinkUri: $"docs/rules/{id}.md", customTags: tags);
}
