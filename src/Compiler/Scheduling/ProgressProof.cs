namespace Shardwright.Compiler.Scheduling;

/// <summary>
/// Runs the programs of all ranks together, with every message, collective and bounded buffer, and says whether all of them end.
/// One run is a proof: no instruction chooses between ranks, so whatever the speed of ranks and links, each waits for the same things; if one
/// order of events comes to the end, every order does, and if one stands still, every one does.
/// </summary>
/// <remarks>
/// Equal ranks need to be proven once only. Where ranks run the same program and differ in nothing but which of several equal groups they
/// belong to (the data and tensor axes of a mesh, for one position along the pipeline), they are at the same instruction when each group is
/// full, so one of them stands for all: <see cref="MeshWorld"/> builds that smaller world.
/// </remarks>
public static class ProgressProof
{
    /// <summary>Why the world stands still on an engine; null if every rank ends.</summary>
    public static Standstill? Check(RankWorld world, EngineModel? engine = null, CancellationToken cancellation = default) =>
        new WorldRunner(world, engine ?? EngineModel.Strict, cancellation).Run().Standstill;

    /// <summary>Runs the world with its times.</summary>
    public static RankWorldRun Run(RankWorld world, EngineModel? engine = null, CancellationToken cancellation = default) =>
        new WorldRunner(world, engine ?? EngineModel.Strict, cancellation).Run();
}
