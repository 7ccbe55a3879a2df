using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>A model on its mesh before it is decided what backward computes again and what is cut into shards: plans that differ in these alone have it in common, but for the cut of a pipeline.</summary>
/// <param name="Entries">Its entries, training first.</param>
/// <param name="Request">The cut and the order of the actions.</param>
/// <param name="SearchedCut">What the search of the cut found; null where it was not searched.</param>
internal sealed record PlacedModel(IReadOnlyList<TracedEntry> Entries, PipelineRequest.Answer Request, CutResult? SearchedCut);
