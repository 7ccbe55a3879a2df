using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Analyzers;

/// <summary>Reports what extraction and planning found, each finding while the type is analysed whose source holds the place.</summary>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class FindingsAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => Descriptors.All;

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterSymbolAction(Analyze, SymbolKind.NamedType);
    }

    private static void Analyze(SymbolAnalysisContext context)
    {
        var type = (INamedTypeSymbol)context.Symbol;
        try
        {
            foreach (CompilationModels.PlacedFinding found in CompilationModels.Of(Names.FullName(type), context.Compilation, context.CancellationToken))
            {
                Report(context, found);
            }
        }
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            // Extraction and planning say their faults themselves; this is for what links and places. Once, at a class that has to do with us.
            if (Names.IsLayer(type))
            {
                context.ReportDiagnostic(Diagnostic.Create(Descriptors.Fault, type.Locations[0], Finding.OfFault(Names.Of(type), fault, $"'{type.Name}' was analysed", "go on without its diagnostics").Message));
            }
        }
    }

    private static void Report(SymbolAnalysisContext context, CompilationModels.PlacedFinding found)
    {
        Location location = found.Place?.Locate(context.Compilation, context.CancellationToken) ?? context.Symbol.Locations[0];
        if (Thresholds.Judge(found.Finding, location.SourceTree, context.Options) is not { } id || (id != "SW9001" && (CompilerErrors.At(location, context.Compilation, context.CancellationToken) || CompilerErrors.AreTorn(found.Types, context.Compilation, context.CancellationToken))))
        {
            return;
        }

        // What was planned to be offered stays below the usual limit, not below what this file asks for.
        OfferLimits limits = Thresholds.Limits(location.SourceTree, context.Options);
        if (found.Finding.Id is "SW2004" or "SW4001" && limits != OfferLimits.Usual)
        {
            found = CompilationModels.Again(found, limits, context.Compilation, context.CancellationToken);
        }

        List<Location?> places = found.FixPlaces.Select(p => p.Locate(context.Compilation, context.CancellationToken)).ToList();
        bool whole = places.All(p => p is not null);
        context.ReportDiagnostic(Diagnostic.Create(
            Descriptors.Of(id), location, whole ? places! : Enumerable.Empty<Location>(),
            whole && found.Fixes.Count > 0 ? ImmutableDictionary<string, string?>.Empty.Add(FixText.Property, FixText.Write(found.Fixes)) : null,
            found.Finding.Message + found.Where));
    }
}
