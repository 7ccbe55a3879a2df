using System.Collections;
using System.ComponentModel;

namespace Shardwright;

/// <summary>What the generator adds to each layer and model, so that eager execution knows its parts. Not called by users.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public interface ILayer
{
    /// <summary>Names all parameters and layers of this layer.</summary>
    void Describe(ILayerVisitor visitor);

    /// <summary>Calls Forward.</summary>
    Tensor Invoke(ReadOnlySpan<object?> arguments);
}

/// <summary>Is told the parts of a layer.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public interface ILayerVisitor
{
    /// <summary>A parameter.</summary>
    void Parameter(string name, Tensor parameter);

    /// <summary>A layer.</summary>
    void Layer(string name, object layer);

    /// <summary>A stack of layers.</summary>
    void Stack(string name, IEnumerable layers);
}

/// <summary>Equal layers, one after another. The compiled form is a loop: code and planning time do not grow with the number of layers.</summary>
/// <typeparam name="TLayer">A [ShardedLayer] whose Forward takes and returns a tensor of one shape.</typeparam>
public sealed class LayerStack<TLayer> : IReadOnlyList<TLayer>
    where TLayer : class
{
    private readonly TLayer?[] _layers;
    private readonly Func<TLayer> _make;

    /// <summary>A stack of layers, made when they are first used.</summary>
    /// <param name="count">Number of layers, 1 or more.</param>
    /// <param name="make">Makes one layer: <c>() =&gt; new Block(Hidden, Heads)</c>.</param>
    public LayerStack(int count, Func<TLayer> make)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        _layers = new TLayer[count];
        _make = make;
    }

    /// <inheritdoc/>
    public int Count => _layers.Length;

    /// <inheritdoc/>
    public TLayer this[int index] => _layers[index] ??= _make();

    /// <summary>Runs all layers in order.</summary>
    public Tensor Forward(Tensor x) => Run(x, []);

    /// <summary>Runs all layers in order; the second argument is the same for all.</summary>
    public Tensor Forward(Tensor x, Tensor shared) => Run(x, [shared]);

    /// <summary>Runs all layers in order; the second argument is the same for all.</summary>
    public Tensor Forward(Tensor x, TokenTensor shared) => Run(x, [shared]);

    /// <summary>Runs all layers in order; further arguments are the same for all.</summary>
    public Tensor Forward(Tensor x, Tensor first, Tensor second) => Run(x, [first, second]);

    /// <summary>Runs all layers in order; further arguments are the same for all.</summary>
    public Tensor Forward(Tensor x, Tensor first, TokenTensor second) => Run(x, [first, second]);

    /// <inheritdoc/>
    public IEnumerator<TLayer> GetEnumerator() => Enumerable.Range(0, Count).Select(i => this[i]).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private Tensor Run(Tensor x, object[] shared)
    {
        foreach (TLayer layer in this)
        {
            if (layer is not ILayer callable)
            {
                throw new InvalidOperationException($"{typeof(TLayer).Name} has no generated part: mark it [ShardedLayer], make it partial, and build with the Shardwright generator.");
            }

            x = callable.Invoke([x, .. shared]);
        }

        return x;
    }
}
