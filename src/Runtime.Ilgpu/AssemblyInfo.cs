using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Shardwright.Ilgpu.Tests")]
