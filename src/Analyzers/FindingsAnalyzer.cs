using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;

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
        context.RegisterCompilationStartAction(static start =>
        {
            var models = new CompilationModels(start.Compilation);
            start.RegisterSymbolAction(symbol => Analyze(symbol, models), SymbolKind.NamedType);
        });
    }

    private static void Analyze(SymbolAnalysisContext context, CompilationModels models)
    {
        var type = (INamedTypeSymbol)context.Symbol;
        if (!Names.IsLayer(type))
        {
            return;
        }

        Extraction own = models.Extract(type, context.CancellationToken);
        foreach (Finding finding in own.Findings)
        {
            Report(context, type, finding, own.Sites, "");
        }

        string name = Names.Of(type);
        var found = new Dictionary<Finding, List<string>>();
        var sites = new Dictionary<Finding, ImmutableArray<Location>>();
        foreach (CompilationModels.Model model in models.Models(context.CancellationToken))
        {
            bool isModel = SymbolEqualityComparer.Default.Equals(model.Type, type);
            foreach ((Finding finding, string mesh) in model.Findings)
            {
                // A fault inside a referenced layer is reported at the model that holds it.
                bool foreign = isModel && !InSource(finding.TypeName, context.Compilation);
                if (finding.TypeName != name && !foreign)
                {
                    continue;
                }

                Finding shown = foreign ? finding with { TypeName = name, Site = -1 } : finding;
                if (!found.TryGetValue(shown, out List<string>? where))
                {
                    found[shown] = where = new List<string>();
                    sites[shown] = isModel ? model.Sites : own.Sites;
                }

                if (mesh.Length > 0)
                {
                    where.Add(model.Type.Name + "." + mesh);
                }
            }
        }

        foreach (KeyValuePair<Finding, List<string>> pair in found)
        {
            Report(context, type, pair.Key, sites[pair.Key], pair.Value.Count == 0 ? "" : $" (on {string.Join(", ", pair.Value.Distinct())})");
        }
    }

    private static bool InSource(string type, Compilation compilation) => type.EndsWith(", " + compilation.AssemblyName, StringComparison.Ordinal);

    private static void Report(SymbolAnalysisContext context, INamedTypeSymbol type, Finding finding, ImmutableArray<Location> sites, string where)
    {
        Location location = finding.Site >= 0 && finding.Site < sites.Length ? sites[finding.Site] : type.Locations[0];
        context.ReportDiagnostic(Diagnostic.Create(Descriptors.Of(finding.Id), location, finding.Message + where));
    }
}
