namespace Shardwright.Generators.Printing;

/// <summary>Opens and closes the namespace and the types that a generated part stands in.</summary>
internal static class TypeShellPrinting
{
    /// <summary>Opens namespace and types.</summary>
    public static void Open(this TypeShell shell, IndentedWriter writer)
    {
        if (shell.Namespace.Length > 0)
        {
            writer.Line($"namespace {shell.Namespace};");
            writer.Line();
        }

        foreach (string type in shell.Types)
        {
            writer.Open(type);
        }
    }

    /// <summary>Closes them.</summary>
    public static void Close(this TypeShell shell, IndentedWriter writer)
    {
        for (int i = 0; i < shell.Types.Count; i++)
        {
            writer.Close();
        }
    }
}
