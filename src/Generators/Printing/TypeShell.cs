using Shardwright.Compiler.Graph;

namespace Shardwright.Generators.Printing;

/// <summary>Namespace and containing types of a user's class, as its generated parts repeat them.</summary>
/// <param name="Namespace">Empty for the global one.</param>
/// <param name="Types">Declarations from the outside in: <c>partial class Gpt</c>.</param>
public sealed record TypeShell(string Namespace, EquatableArray<string> Types)
{
    /// <summary>Opens namespace and types.</summary>
    internal void Open(IndentedWriter writer)
    {
        if (Namespace.Length > 0)
        {
            writer.Line($"namespace {Namespace};");
            writer.Line();
        }

        foreach (string type in Types)
        {
            writer.Open(type);
        }
    }

    /// <summary>Closes them.</summary>
    internal void Close(IndentedWriter writer)
    {
        for (int i = 0; i < Types.Count; i++)
        {
            writer.Close();
        }
    }
}
