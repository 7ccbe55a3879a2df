using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Shardwright.Compiler.Tests")]
[assembly: InternalsVisibleTo("Shardwright.Editor.Tests")]
