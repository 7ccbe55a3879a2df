global using System;
global using System.Collections.Generic;
global using System.Collections.Immutable;
global using System.Linq;
global using System.Threading;
global using Shardwright.Compiler;
global using Shardwright.Compiler.Machine;
global using TypeShell = Shardwright.Compiler.Frontend.TypeShell;
