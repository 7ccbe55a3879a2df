global using System.Collections.Immutable;
global using Shardwright.Compiler;
global using Shardwright.Compiler.Machine;
