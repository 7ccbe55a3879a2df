using System.Diagnostics;

namespace Shardwright.Worlds;

/// <summary>The links of a world: says when what is sent now will have left and arrived, behind all that was sent before.</summary>
internal sealed class LinkClock
{
    private readonly Mesh _mesh;
    private readonly IReadOnlyDictionary<string, LinkModel> _models;
    private readonly Dictionary<(string Axis, int From, int To), Link> _links = [];
    private readonly object _gate = new();

    /// <summary>Checks the models.</summary>
    /// <exception cref="ArgumentException">One names no axis of the mesh, or has a number that cannot be.</exception>
    public LinkClock(Mesh mesh, IReadOnlyDictionary<string, LinkModel> models)
    {
        foreach ((string axis, LinkModel model) in models)
        {
            if (mesh.Axes.All(a => a.Name != axis))
            {
                throw new ArgumentException($"WorldOptions.Links has a model of axis '{axis}', and mesh '{mesh.Name}' has {(mesh.Axes.Count == 0 ? "no axes" : "the axes " + string.Join(", ", mesh.Axes.Select(a => a.Name)))}.");
            }

            if (model.Fault is { } fault)
            {
                throw new ArgumentException($"The link of axis '{axis}' has {fault}.");
            }
        }

        (_mesh, _models) = (mesh, models);
    }

    /// <summary>A link and the moment from which it is free.</summary>
    public sealed class Link(LinkModel model)
    {
        public LinkModel Model { get; } = model;

        public long Free { get; set; }
    }

    /// <summary>The link from each member to the next, and from the last to the first; null for those that take no time. Null where none takes any.</summary>
    public Link?[]? Ring(int[] ranks)
    {
        Link?[] ring = [.. ranks.Select((from, i) => Between(from, ranks[(i + 1) % ranks.Length]))];
        return Array.TrueForAll(ring, l => l is null) ? null : ring;
    }

    /// <summary>Books an operation on its links.</summary>
    /// <param name="ring">Links of its members, see <see cref="Ring"/>.</param>
    /// <param name="transfer">A member's part; those of all members are alike.</param>
    /// <returns>When all has left, and when all has arrived; 0 where it takes no time.</returns>
    public (long Left, long Arrived) Book(Link?[] ring, in Transfer transfer)
    {
        int members = ring.Length;
        bool message = transfer.Kind == TransferKind.SendReceive;
        int hops = transfer.Kind switch
        {
            TransferKind.AllReduce or TransferKind.AllReduceMax => 2 * (members - 1),
            TransferKind.SendReceive => 1,
            _ => members - 1,
        };
        double bytes = transfer.BytesSent(members), latency = 0;
        lock (_gate)
        {
            long now = Stopwatch.GetTimestamp(), left = 0;
            for (int i = 0; i < members; i++)
            {
                if (ring[i] is not { } link || (message && i > 0) || (transfer.Kind == TransferKind.Broadcast && (i + 1) % members == transfer.Root))
                {
                    continue;
                }

                link.Free = Math.Max(now, link.Free) + (long)(bytes / link.Model.BytesPerSecond * Stopwatch.Frequency);
                left = Math.Max(left, link.Free);
                latency = Math.Max(latency, link.Model.Latency.TotalSeconds);
            }

            return left == 0 ? default : (left, left + (long)(hops * latency * Stopwatch.Frequency));
        }
    }

    private Link? Between(int from, int to)
    {
        string? axis = _mesh.Axes.Select(a => a.Name).FirstOrDefault(a => _models.ContainsKey(a) && _mesh.Coordinate(from, a) != _mesh.Coordinate(to, a));
        if (axis is null)
        {
            return null;
        }

        LinkModel model = _models[axis];
        (string, int, int) key = model.Sharing == LinkSharing.Shared ? (axis, -1, -1) : (axis, from, to);
        lock (_gate)
        {
            if (!_links.TryGetValue(key, out Link? link))
            {
                _links[key] = link = new Link(model);
            }

            return link;
        }
    }
}
