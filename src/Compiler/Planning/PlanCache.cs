using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>Plans by the content that they were made from: definitions of the layers reached, the model, the mesh. Generator and analyzers
/// ask the same cache, so an editor never disagrees with a build and a model is planned once. Bounded and thread-safe; what was cancelled or failed is not kept.</summary>
public sealed class PlanCache
{
    private readonly int _capacity;
    private readonly object _gate = new();
    private readonly Dictionary<Key, LinkedListNode<Entry>> _entries = new();
    private readonly LinkedList<Entry> _order = new();

    /// <summary>Makes an empty cache.</summary>
    /// <param name="capacity">Number of plans that are kept; the one that was used longest ago goes first.</param>
    public PlanCache(int capacity) => _capacity = Math.Max(1, capacity);

    /// <summary>The one of this process: a few hundred meshes of models that are being edited.</summary>
    public static PlanCache Shared { get; } = new(256);

    /// <summary>Raised for each plan that is really made, with the model's name.</summary>
    internal event Action<string>? Planning;

    /// <summary>Plans that are kept.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _entries.Count;
            }
        }
    }

    private sealed record Key(ModelDefinition Model, EquatableArray<LayerDefinition> Layers, ShardedOnDefinition On, OfferLimits Limits);

    private sealed class Entry
    {
        public Entry(Key key) => Key = key;

        public Key Key { get; }

        /// <summary>Held while the plan is made, so that others wait for it and do not make it again.</summary>
        public object Making { get; } = new();

        public PlanResult? Result { get; set; }
    }

    /// <summary>The plan of a model on one of its meshes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions of the layers that it reaches; the order does not matter.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="cancellation">Ends the planning, or the waiting for another thread's.</param>
    /// <param name="limits">What offers have to stay below; the usual limits where none are given.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public PlanResult Plan(ModelDefinition model, EquatableArray<LayerDefinition> layers, ShardedOnDefinition on, CancellationToken cancellation, OfferLimits? limits = null)
    {
        limits ??= OfferLimits.Usual;
        cancellation.ThrowIfCancellationRequested();
        layers = layers.OrderBy(l => l.Type, StringComparer.Ordinal).ToEquatable();
        Entry entry = Find(new Key(model, layers, on, limits));
        while (!Monitor.TryEnter(entry.Making, millisecondsTimeout: 20))
        {
            cancellation.ThrowIfCancellationRequested();
        }

        try
        {
            if (entry.Result is null)
            {
                Planning?.Invoke(model.Layer.Type);
                Dictionary<string, LayerDefinition> byType = layers.GroupBy(l => l.Type).ToDictionary(g => g.Key, g => g.First());
                entry.Result = Planner.Plan(model, type => byType.TryGetValue(type, out LayerDefinition? found) ? found : null, on, limits, cancellation);
            }

            return entry.Result;
        }
        finally
        {
            Monitor.Exit(entry.Making);
        }
    }

    /// <summary>The plan of a model on one of its meshes, without other numbers. A fault of ours is a finding like any other: it must neither take an editor down nor look like one of the model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions of the layers that it reaches.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="limits">What offers have to stay below; the usual limits where none are given.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public PlanResult PlanOrSay(ModelDefinition model, EquatableArray<LayerDefinition> layers, ShardedOnDefinition on, CancellationToken cancellation, OfferLimits? limits = null)
    {
        try
        {
            return Plan(model, layers, on, cancellation, limits);
        }
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            string place = model.Layer.Type + "#" + on.Site.ToString(System.Globalization.CultureInfo.InvariantCulture);
            return new PlanResult(null, ImmutableArray.Create(Finding.OfFault(place, fault, $"'{model.Layer.ShortName}' on '{on.Mesh.ShortName}' was planned", "leave this [ShardedOn] out")));
        }
    }

    private Entry Find(Key key)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(key, out LinkedListNode<Entry>? node))
            {
                _order.Remove(node);
                _order.AddFirst(node);
                return node.Value;
            }

            node = _order.AddFirst(new Entry(key));
            _entries.Add(key, node);
            if (_entries.Count > _capacity)
            {
                _entries.Remove(_order.Last!.Value.Key);
                _order.RemoveLast();
            }

            return node.Value;
        }
    }
}
