using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Scheduling;

/// <summary>Programs on a mesh: one for each position along one axis (the pipeline), the same for all ranks at that position.</summary>
/// <param name="AxisSizes">Sizes of the axes, outermost first.</param>
/// <param name="PipelineAxis">Position of the axis along which programs differ.</param>
/// <param name="Programs">One program for each position along that axis. Messages are numbered in <paramref name="Messages"/>, groups in <paramref name="Groups"/>.</param>
/// <param name="Messages">Messages between positions; each rank sends to the one that differs from it in nothing else.</param>
/// <param name="Groups">Groups, each over a set of axes: its members are the ranks that differ in those axes only.</param>
public sealed record MeshWorld(
    EquatableArray<int> AxisSizes, int PipelineAxis, EquatableArray<EquatableArray<LaneInstruction>> Programs, EquatableArray<LaneMessage> Messages, EquatableArray<MeshGroup> Groups)
{
    /// <summary>Number of ranks.</summary>
    public int Ranks => AxisSizes.Aggregate(1, (a, b) => a * b);

    /// <summary>One rank for each position: all ranks of a position run in step, so a group within one position is full whenever one of them is there.</summary>
    public RankWorld Equal()
    {
        int positions = AxisSizes[PipelineAxis];
        var groups = new List<LaneGroup>();
        var first = new int[Groups.Count];
        for (int g = 0; g < Groups.Count; g++)
        {
            first[g] = groups.Count;
            groups.AddRange(Groups[g].Axes.Contains(PipelineAxis)
                ? [new LaneGroup(Groups[g].Name, Groups[g].Positions ?? Enumerable.Range(0, positions).ToEquatable())]
                : Enumerable.Range(0, positions).Select(p => new LaneGroup($"{Groups[g].Name} at position {p}", EquatableArray.Of(p))));
        }

        return new RankWorld(
            Programs.Select((program, p) => program.Select(i => Renumber(i, i.Number, g => first[g] + (Groups[g].Axes.Contains(PipelineAxis) ? 0 : p))).ToEquatable()).ToEquatable(), Messages, groups.ToEquatable());
    }

    /// <summary>Every rank by itself.</summary>
    public RankWorld Whole()
    {
        var groups = new List<LaneGroup>();
        var groupOf = new Dictionary<(int Group, int Rank), int>();
        for (int g = 0; g < Groups.Count; g++)
        {
            MeshGroup group = Groups[g];
            IEnumerable<int> ranks = Enumerable.Range(0, Ranks).Where(r => !group.Axes.Contains(PipelineAxis) || group.Positions is not { } only || only.Contains(Coordinate(r, PipelineAxis)));
            foreach (IGrouping<int, int> members in ranks.GroupBy(r => group.Axes.Aggregate(r, (rank, axis) => rank - Coordinate(rank, axis) * Stride(axis))))
            {
                foreach (int member in members)
                {
                    groupOf[(g, member)] = groups.Count;
                }

                groups.Add(new LaneGroup($"{group.Name} with rank {members.Key}", members.ToEquatable()));
            }
        }

        int others = Ranks / AxisSizes[PipelineAxis];
        int[] bases = Enumerable.Range(0, Ranks).Where(r => Coordinate(r, PipelineAxis) == 0).ToArray();
        int stride = Stride(PipelineAxis);
        LaneMessage[] messages = Messages.SelectMany(m => bases.Select(b => m with { From = b + m.From * stride, To = b + m.To * stride })).ToArray();
        return new RankWorld(
            Enumerable.Range(0, Ranks).Select(rank =>
            {
                int column = Array.IndexOf(bases, rank - Coordinate(rank, PipelineAxis) * stride);
                return Programs[Coordinate(rank, PipelineAxis)].Select(i => Renumber(i, i.Number * others + column, g => groupOf[(g, rank)])).ToEquatable();
            }).ToEquatable(),
            messages.ToEquatable(), groups.ToEquatable());
    }

    private static LaneInstruction Renumber(LaneInstruction instruction, int message, Func<int, int> group) => instruction.Kind switch
    {
        LaneKind.Compute => instruction,
        LaneKind.Collective or LaneKind.StartCollective or LaneKind.AwaitCollective => instruction with { Number = group(instruction.Number) },
        _ => instruction with { Number = message },
    };

    private int Stride(int axis) => AxisSizes.Skip(axis + 1).Aggregate(1, (a, b) => a * b);

    private int Coordinate(int rank, int axis) => rank / Stride(axis) % AxisSizes[axis];
}

/// <summary>The groups over a set of axes of a mesh.</summary>
/// <param name="Name">Name for messages.</param>
/// <param name="Axes">Positions of the axes.</param>
/// <param name="Positions">Where the pipeline axis is one of them and only some of its positions belong: those. All if null.</param>
public sealed record MeshGroup(string Name, EquatableArray<int> Axes, EquatableArray<int>? Positions = null);
