using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Shardwright.Runtime.Tests")]
[assembly: InternalsVisibleTo("Shardwright.Cli")]
