namespace Shardwright;

/// <summary>An axis of a mesh at run time.</summary>
/// <param name="Name">Name.</param>
/// <param name="Size">Ranks along it.</param>
public readonly record struct MeshAxisInfo(string Name, int Size);

/// <summary>A mesh of ranks. Ranks are numbered row-major: the last axis changes fastest.</summary>
public sealed class Mesh
{
    private readonly MeshAxisInfo[] _axes;

    /// <summary>A mesh.</summary>
    /// <param name="name">For people.</param>
    /// <param name="axes">Outermost (slowest) first.</param>
    /// <exception cref="ArgumentException">A name occurs twice, or a size is below 1.</exception>
    public Mesh(string name, params MeshAxisInfo[] axes)
    {
        foreach (MeshAxisInfo axis in axes)
        {
            if (axis.Size < 1 || axes.Count(a => a.Name == axis.Name) > 1)
            {
                throw new ArgumentException($"Axis '{axis.Name}' of mesh '{name}' has size {axis.Size} and must occur once with a size of 1 or more.");
            }
        }

        Name = name;
        _axes = axes;
        Ranks = axes.Aggregate(1, (product, axis) => checked(product * axis.Size));
    }

    /// <summary>For people.</summary>
    public string Name { get; }

    /// <summary>Number of ranks.</summary>
    public int Ranks { get; }

    /// <summary>Axes, outermost first.</summary>
    public IReadOnlyList<MeshAxisInfo> Axes => _axes;

    /// <summary>Size of an axis; an axis that the mesh lacks counts as 1.</summary>
    public int Size(string axis) => _axes.FirstOrDefault(a => a.Name == axis) is { Size: > 0 } found ? found.Size : 1;

    /// <summary>Coordinate of a rank along an axis; 0 where the mesh lacks it.</summary>
    public int Coordinate(int rank, string axis)
    {
        int below = 1;
        for (int i = _axes.Length - 1; i >= 0; i--)
        {
            if (_axes[i].Name == axis)
            {
                return rank / below % _axes[i].Size;
            }

            below *= _axes[i].Size;
        }

        return 0;
    }

    /// <summary>Coordinates of a rank as text: <c>dp=1, tp=0</c>.</summary>
    public string Describe(int rank) => _axes.Length == 0 ? "single" : string.Join(", ", _axes.Select(a => $"{a.Name}={Coordinate(rank, a.Name)}"));

    /// <summary>Ranks that differ from one rank along the given axes only, rising.</summary>
    public int[] Group(int rank, IReadOnlyCollection<string> axes) =>
        [.. Enumerable.Range(0, Ranks).Where(other => _axes.All(a => axes.Contains(a.Name) || Coordinate(other, a.Name) == Coordinate(rank, a.Name)))];
}
