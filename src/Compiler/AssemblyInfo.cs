using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Shardwright.Compiler.Tests")]
