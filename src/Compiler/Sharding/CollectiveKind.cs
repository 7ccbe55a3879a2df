namespace Shardwright.Compiler.Sharding;

/// <summary>Collective operations.</summary>
public enum CollectiveKind
{
    /// <summary>Sum in place.</summary>
    AllReduce,

    /// <summary>Maximum in place.</summary>
    AllReduceMax,

    /// <summary>Equal pieces of all ranks, in rank order.</summary>
    AllGather,

    /// <summary>Sum, of which each rank keeps its piece.</summary>
    ReduceScatter,

    /// <summary>Piece i of rank j goes to rank i as piece j.</summary>
    AllToAll,
}
