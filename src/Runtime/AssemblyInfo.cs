using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Shardwright.Runtime.Tests")]
