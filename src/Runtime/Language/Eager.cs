using System.Collections;
using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright;

/// <summary>Runs models as plain C# on one CPU: the thing to debug, and the reference for the forward pass of generated programs.</summary>
public static class Eager
{
    [ThreadStatic]
    private static EagerSession? t_current;

    internal static EagerSession? Current => t_current;

    /// <summary>Opens a session: until it is disposed, parameters of the model are filled by their logical paths, and dropout uses the keys of the step.</summary>
    /// <param name="model">The model; its generated part names its parameters.</param>
    /// <param name="seed">Seed, as for a generated rank.</param>
    /// <param name="step">Number of the step, from 0.</param>
    public static EagerSession Session(object model, ulong seed, uint step = 0)
    {
        Bind(model);
        return Session(seed, step);
    }

    /// <summary>Opens a session for models that were bound before by <see cref="Bind"/>.</summary>
    /// <param name="seed">Seed, as for a generated rank.</param>
    /// <param name="step">Number of the step, from 0.</param>
    public static EagerSession Session(ulong seed, uint step = 0) => t_current = new EagerSession(seed, step, t_current);

    /// <summary>Gives every parameter of a model its logical path.</summary>
    /// <exception cref="InvalidOperationException">The model has no generated part.</exception>
    public static IReadOnlyList<Tensor> Bind(object model)
    {
        var binder = new Binder("");
        binder.Layer("", model);
        return binder.Found;
    }

    internal static void Close(EagerSession session) => t_current = session.Outer;

    internal static float[] Read(Tensor parameter)
    {
        if (t_current is null || parameter.Path is null)
        {
            return parameter.Filled ?? throw new InvalidOperationException(
                $"A parameter of shape {parameter.Shape} has no values yet: parameters are filled by seed and logical path inside of a session. Write 'using var session = Eager.Session(model, seed: 42);' around the call.");
        }

        return t_current.Read(parameter);
    }

    private sealed class Binder(string prefix) : ILayerVisitor
    {
        public List<Tensor> Found { get; private init; } = [];

        public void Parameter(string name, Tensor parameter)
        {
            parameter.Path = Join(name);
            Found.Add(parameter);
        }

        public void Layer(string name, object layer)
        {
            if (layer is not ILayer described)
            {
                throw new InvalidOperationException($"{layer.GetType().Name} has no generated part: mark it [ShardedLayer] or [ShardedOn], make it partial, and build with the Shardwright generator.");
            }

            described.Describe(new Binder(Join(name)) { Found = Found });
        }

        public void Stack(string name, IEnumerable layers)
        {
            int index = 0;
            foreach (object layer in layers)
            {
                Layer($"{name}.{index++}", layer);
            }
        }

        private string Join(string name) => prefix.Length == 0 ? name : name.Length == 0 ? prefix : prefix + "." + name;
    }
}

/// <summary>An open eager session.</summary>
public sealed class EagerSession : IDisposable
{
    private readonly Dictionary<string, float[]> _values = [];
    private readonly List<(double Value, float Weight)> _losses = [];
    private readonly ulong _seed;
    private int _dropouts;

    internal EagerSession(ulong seed, uint step, EagerSession? outer)
    {
        _seed = seed;
        Step = step;
        Outer = outer;
    }

    /// <summary>Whether dropout is on.</summary>
    public bool Training { get; set; } = true;

    /// <summary>Number of the step.</summary>
    public uint Step { get; private set; }

    internal EagerSession? Outer { get; }

    /// <summary>Sets a parameter.</summary>
    /// <param name="path">Logical path: <c>blocks.3.attention.query</c>.</param>
    /// <param name="values">Its elements, row-major.</param>
    public void Set(string path, ReadOnlySpan<float> values) => _values[path] = values.ToArray();

    /// <summary>Begins the next execution of the model: its dropout and auxiliary losses start anew.</summary>
    public void NextStep()
    {
        Step++;
        Restart();
    }

    /// <summary>Begins another execution of the same step.</summary>
    public void Restart()
    {
        _dropouts = 0;
        _losses.Clear();
    }

    /// <summary>The objective of a step: (sum of the loss + Σ weight · auxiliary value) / weight of the loss.</summary>
    /// <param name="loss">What Loss returned.</param>
    public double Objective(Tensor loss)
    {
        (double sum, double weight) = loss.Pair ?? (loss.Item, 1.0);
        return (sum + _losses.Sum(l => l.Value * l.Weight)) / weight;
    }

    /// <inheritdoc/>
    public void Dispose() => Eager.Close(this);

    internal void AddLoss(Tensor value, float weight) => _losses.Add((value.Pair?.Sum ?? value.Span.ToArray().Sum(v => (double)v), weight));

    internal unsafe Tensor Dropout(Tensor x, float probability)
    {
        int ordinal = _dropouts++;
        if (!Training || probability == 0)
        {
            return x;
        }

        long[] dims = x.Shape.Dims.Select(d => (long)d).ToArray();
        var map = new IndexMap(dims, dims, new long[dims.Length]);
        var y = new float[x.Shape.Count];

        // Kernels work on addresses: the collector must leave both where they are.
        fixed (float* from = x.Data, to = y)
        {
            Kernels.Dropout.Apply(ThreadTeam.Single, ref *from, ref *to, map, new RandomKey(_seed, Step, RandomKey.Hash("dropout#" + ordinal)), probability);
        }

        return new Tensor(x.Shape, y);
    }

    internal float[] Read(Tensor parameter)
    {
        if (!_values.TryGetValue(parameter.Path!, out float[]? data))
        {
            data = new float[parameter.Shape.Count];
            long[] dims = parameter.Shape.Dims.Select(d => (long)d).ToArray();
            var map = new IndexMap(dims, dims, new long[dims.Length]);
            Init init = parameter.Init!;
            Initialize.Fill(ref data[0], map, _seed, parameter.Path!, init.Kind, init.A, init.B);
            _values[parameter.Path!] = data;
        }

        return data;
    }
}
