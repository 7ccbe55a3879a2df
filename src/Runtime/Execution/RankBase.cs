using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using Shardwright.Kernels;
using Shardwright.Observability;
using Shardwright.Worlds;

namespace Shardwright.Execution;

/// <summary>Seed and step that random kernels depend on; shared by all kernels of a rank.</summary>
public sealed class RandomState
{
    /// <summary>Seed of the run.</summary>
    public ulong Seed { get; set; }

    /// <summary>Number of the current step.</summary>
    public uint Step { get; set; }
}

/// <summary>What all generated ranks share: the arena, the threads, parameters by path, the way in for data and the way out for results.</summary>
public abstract partial class RankBase : IDisposable
{
    private static int s_debugWarning;
    private readonly List<ParameterView> _parameters = [];
    private readonly ThreadTeam? _team;
    private readonly StepWatch _watch;
    private readonly double[] _lossSums;
    private readonly double[] _lossWeights;
    private bool _disposed;

    /// <summary>Allocates the arena and fills the parameters.</summary>
    /// <param name="context">The rank.</param>
    /// <param name="seed">Seed of parameters and dropout.</param>
    /// <param name="arenaBytes">The plan's figure.</param>
    /// <param name="scratchOffset">Where scratch lies.</param>
    /// <param name="maxThreads">Threads that scratch is planned for.</param>
    /// <param name="scalars">Buffer of the step's scalars.</param>
    /// <param name="parameters">Parameters.</param>
    /// <param name="lossSets">Number of sets of axes that losses are summed over.</param>
    /// <param name="usableBytes">Bytes that the plan's device leaves an arena.</param>
    /// <exception cref="InsufficientMemoryException">The plan does not fit its device.</exception>
    /// <exception cref="OutOfMemoryException">The machine has no such block of memory.</exception>
    protected RankBase(RankContext context, ulong seed, long arenaBytes, long scratchOffset, int maxThreads, Slice<double> scalars, ParameterSlot[] parameters, int lossSets, long usableBytes = long.MaxValue)
    {
        if (arenaBytes > usableBytes)
        {
            throw new InsufficientMemoryException(DoesNotFit(context, arenaBytes, usableBytes));
        }

        if (context.Threads > maxThreads)
        {
            throw new ArgumentException($"Rank {context.Rank} has {context.Threads} threads, and its plan has scratch for {maxThreads}: lower WorldOptions.ThreadsPerRank, or raise MaxThreads of the mesh's device.");
        }

        Context = context;
        _watch = new StepWatch(context);
        Scalars = scalars;
        Random = new RandomState { Seed = seed };
        var scratch = new Slice<byte>(scratchOffset, (long)maxThreads * ThreadTeam.ScratchBytes);
        Arena = context.Backend.Allocate(arenaBytes, scratch, context.Rank);
        _team = Arena.IsHost ? new ThreadTeam(context.Threads, ref Arena.Ref(scratch)) : null;
        _lossSums = new double[lossSets];
        _lossWeights = new double[lossSets];
        foreach (ParameterSlot slot in parameters)
        {
            for (int layer = 0; layer < slot.Value.Count; layer++)
            {
                string path = slot.Path.Replace("{0}", (slot.FirstLayer + layer).ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);
                var view = new ParameterView(Arena, path, slot, layer, Scaling);
                _parameters.Add(view);
                view.Initialize(seed);
            }
        }

        WarnOnce(GetType().Assembly);
    }

    /// <summary>The rank in its world.</summary>
    public RankContext Context { get; }

    /// <summary>The plan that this rank runs.</summary>
    public abstract Plan Plan { get; }

    /// <summary>Number of training steps done, those before a loaded checkpoint included.</summary>
    public int Step { get; private set; }

    /// <summary>Seed of parameters and dropout: what the rank was made with, or that of the checkpoint it loaded.</summary>
    public ulong Seed => Random.Seed;

    /// <summary>Where the scale of the loss stands, the same on every rank; null before the first step, and where the precision scales none.</summary>
    public LossScale? LossScale => Scaling.Now;

    /// <summary>Bytes of the arena: the one native allocation of this rank.</summary>
    public long AllocatedBytes => Arena.Bytes;

    /// <summary>All parameters, each layer's its own.</summary>
    public IReadOnlyList<ParameterView> Parameters => _parameters;

    /// <summary>The arena.</summary>
    protected Arena Arena { get; }

    /// <summary>The threads, where the rank's memory is the host's.</summary>
    /// <exception cref="InvalidOperationException">It is not.</exception>
    protected ThreadTeam Team => _team ?? throw new InvalidOperationException($"The ranks of this world have their memory on {Context.Backend.Name}, which the kernels of a Rank cannot reach: make an IlgpuRank. It is emitted where a project references Shardwright.Runtime.Ilgpu.");

    /// <summary>Seed and step.</summary>
    protected RandomState Random { get; }

    /// <summary>Scale of the loss.</summary>
    protected LossScaleState Scaling { get; } = new();

    /// <summary>Buffer of the step's scalars.</summary>
    protected Slice<double> Scalars { get; }

    /// <summary>Sets a parameter from its logical elements; this rank takes its piece.</summary>
    /// <param name="path">Logical path.</param>
    /// <param name="logical">All elements, row-major.</param>
    /// <exception cref="ArgumentException">There is no such parameter, or the number of elements is wrong.</exception>
    public void LoadParameter(string path, ReadOnlySpan<float> logical)
    {
        // A tied weight lies twice on a rank that runs both of its stages.
        ParameterView[] copies = [.. _parameters.Where(p => p.Path == path)];
        ParameterView view = copies.FirstOrDefault() ?? throw new ArgumentException($"There is no parameter '{path}': {string.Join(", ", _parameters.Take(8).Select(p => p.Path))}, … exist.");
        long count = view.LogicalShape.Aggregate(1L, (product, size) => product * size);
        if (logical.Length != count)
        {
            throw new ArgumentException($"Parameter '{path}' has {count} elements, not {logical.Length}.");
        }

        foreach (ParameterView copy in copies)
        {
            copy.WriteFrom(logical);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _team?.Dispose();
            Arena.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Begins a step.</summary>
    protected void Begin(bool training)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Context.ThrowIfStopping();
        Random.Step = (uint)Step;
        Array.Clear(_lossSums);
        Array.Clear(_lossWeights);
        if (training)
        {
            _watch.Begin();
        }
    }

    /// <summary>Copies this rank's piece of a model input into the arena. For emitted code.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Load(TokenTensor input, string name, long[] logical, ReadOnlySpan<long> local, ReadOnlySpan<long> start, Slice<int> target)
    {
        CheckShape(input.Shape, name, logical);
        CopyPiece(input.Data, logical, local, start, Arena.BeginWrite(target));
        Arena.EndWrite(target);
    }

    /// <summary>Copies this rank's piece of a model input into the arena. For emitted code.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Load(Tensor input, string name, long[] logical, ReadOnlySpan<long> local, ReadOnlySpan<long> start, Slice<float> target)
    {
        CheckShape(input.Shape, name, logical);
        CopyPiece(input.Data, logical, local, start, Arena.BeginWrite(target));
        Arena.EndWrite(target);
    }

    /// <summary>Copies this rank's piece of a model input into the arena, rounded. For emitted code.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Load<T>(Tensor input, string name, long[] logical, ReadOnlySpan<long> local, ReadOnlySpan<long> start, Slice<T> target)
        where T : unmanaged, INarrowNumber<T>
    {
        CheckShape(input.Shape, name, logical);
        float[] piece = System.Buffers.ArrayPool<float>.Shared.Rent(checked((int)target.Length));
        Span<float> elements = piece.AsSpan(0, (int)target.Length);
        CopyPiece(input.Data, logical, local, start, elements);
        NarrowNumbers.Narrow(elements, Arena.BeginWrite(target));
        Arena.EndWrite(target);
        System.Buffers.ArrayPool<float>.Shared.Return(piece);
    }

    /// <summary>Fills memory that holds nothing with NaN, where the world asks for it. For emitted code.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    public void Poison(Slice<byte> slice)
    {
        const long Most = 1 << 30;
        for (long at = 0; Context.PoisonsMemory && Arena.IsHost && at < slice.Length; at += Most)
        {
            Arena.Span(slice.Part(at, Math.Min(Most, slice.Length - at))).Fill(0xFF);
        }
    }

    /// <summary>Adds a term to the loss.</summary>
    public void AddLoss(int set, float value, double factor) => _lossSums[set] += value * factor;

    /// <summary>Adds to what the loss is divided by.</summary>
    public void AddWeight(int set, float value) => _lossWeights[set] += value;

    /// <summary>Sums values over a group in rank order, in double precision: every rank gets the same bits.</summary>
    protected void SumOver(ProcessGroup group, Span<double> values)
    {
        if (group.Size == 1)
        {
            return;
        }

        Slice<double> own = Scalars.Part(0, values.Length), all = new(Scalars.Offset + values.Length * sizeof(double), values.Length * group.Size);
        values.CopyTo(Arena.BeginWrite(own));
        Arena.EndWrite(own);
        group.Wait(group.StartAllGather(Arena, own, all));
        ReadOnlySpan<double> gathered = Arena.Read(all);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = 0;
            for (int rank = 0; rank < group.Size; rank++)
            {
                values[i] += gathered[rank * values.Length + i];
            }
        }
    }

    /// <summary>Sums a value over a group; every rank gets the same bits.</summary>
    protected WideSum SumOver(ProcessGroup group, WideSum value)
    {
        if (group.Size == 1)
        {
            return value;
        }

        Slice<double> own = Scalars.Part(0, 2), all = new(Scalars.Offset + 2 * sizeof(double), 2 * group.Size);
        Span<double> parts = Arena.BeginWrite(own);
        (parts[0], parts[1]) = value;
        Arena.EndWrite(own);
        group.Wait(group.StartAllGather(Arena, own, all));
        ReadOnlySpan<double> gathered = Arena.Read(all);
        WideSum sum = default;
        for (int rank = 0; rank < group.Size; rank++)
        {
            sum += new WideSum(gathered[2 * rank], gathered[2 * rank + 1]);
        }

        return sum;
    }

    /// <summary>Sums the gradients of a parameter that several stages hold: over this rank's copies, then over the ranks that hold one; all copies get the sum.</summary>
    /// <param name="copies">Gradients of this rank's copies.</param>
    /// <param name="group">Ranks that hold a copy; null where this is the only one.</param>
    protected void SumTied<T>(Slice<T>[] copies, ProcessGroup? group)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(copies);
        for (int i = 1; i < copies.Length; i++)
        {
            Arena.Add(copies[i], copies[0]);
        }

        if (group is not null)
        {
            group.Wait(group.StartAllReduce(Arena, copies[0]));
        }

        for (int i = 1; i < copies.Length; i++)
        {
            Arena.Copy(copies[0], copies[i]);
        }
    }

    /// <summary>Sum and weight of a set of losses, over its group.</summary>
    protected (double Sum, double Weight) Loss(int set, ProcessGroup? group)
    {
        Span<double> pair = [_lossSums[set], _lossWeights[set]];
        if (group is not null)
        {
            SumOver(group, pair);
        }

        return (pair[0], pair[1]);
    }

    /// <summary>Factor on the gradients: 1/weight, and the clip factor where the norm exceeds the limit.</summary>
    /// <param name="squares">Squared norm of the gradient of the loss sum.</param>
    /// <param name="weight">What the loss is divided by.</param>
    /// <param name="clipNorm">Limit; 0 for none.</param>
    /// <param name="norm">Norm of the gradient of the mean loss.</param>
    protected static float GradientScale(double squares, double weight, float clipNorm, out double norm)
    {
        norm = Math.Sqrt(squares) / weight;
        double clip = clipNorm > 0 && norm > clipNorm ? clipNorm / norm : 1;
        return (float)(clip / weight);
    }

    /// <summary>Begins a step whose loss is scaled.</summary>
    protected void BeginScaled(LossScaling? scaling)
    {
        Scaling.Begin(scaling);
        Begin(training: true);
    }

    /// <summary>What a step's norm means for the scale of the loss.</summary>
    /// <param name="squares">Squared norm of the scaled gradient, the same on every rank.</param>
    /// <param name="skipped">Whether nothing is updated.</param>
    protected void EndScaled(double squares, bool skipped) => Scaling.End(!double.IsFinite(squares), skipped);

    /// <summary>Ends a training step.</summary>
    protected StepResult End(double lossSum, double weight, double norm, bool skipped)
    {
        _watch.End(Step, weight);
        Step++;
        return new StepResult(lossSum, weight, norm, skipped);
    }

    /// <summary>Copies the result of a micro-batch to its rows of the whole result.</summary>
    /// <param name="rows">Where it is in the arena.</param>
    /// <param name="result">The result of the whole batch.</param>
    /// <param name="microBatch">Number of the micro-batch.</param>
    protected void Read(Slice<float> rows, float[] result, int microBatch) => Arena.Read(rows).CopyTo(result.AsSpan(checked((int)(microBatch * rows.Length))));

    /// <summary>Copies the result of a micro-batch to its rows of the whole result, as floats.</summary>
    /// <inheritdoc cref="Read(Slice{float}, float[], int)"/>
    protected void Read<T>(Slice<T> rows, float[] result, int microBatch)
        where T : unmanaged, INarrowNumber<T> => NarrowNumbers.Widen(Arena.Read(rows), result.AsSpan(checked((int)(microBatch * rows.Length))));

    /// <summary>SW3001 at run time, for those who lower its severity.</summary>
    private string DoesNotFit(RankContext context, long arenaBytes, long usableBytes)
    {
        PlanRank? planned = Plan.Ranks.FirstOrDefault(r => r.TotalBytes == arenaBytes);
        string parts = string.Join(", ", (planned?.Memory ?? Plan.Memory).Select(m => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{m.Key} {m.Value:N0}")));
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Rank {context.Rank} of '{Plan.Model}' on '{Plan.Mesh}' needs {arenaBytes:N0} bytes, the figure of its plan ({parts}), and device '{Plan.Device}' leaves an arena {usableBytes:N0}. SW3001 names what would make it fit.");
    }

    private static void CheckShape(Shape shape, string name, long[] logical)
    {
        bool same = shape.Rank == logical.Length;
        for (int dim = 0; same && dim < logical.Length; dim++)
        {
            same = shape[dim] == logical[dim];
        }

        if (!same)
        {
            throw new ArgumentException($"Input '{name}' has shape {shape}; the model takes [{string.Join(", ", logical)}], the whole batch of a step on every rank.");
        }
    }

    private static void CopyPiece<T>(T[] source, long[] logical, ReadOnlySpan<long> local, ReadOnlySpan<long> start, Span<T> target)
    {
        if (local.Length == 0)
        {
            target[0] = source[0];
            return;
        }

        var map = new IndexMap(local, logical, start);
        int width = (int)map.RowLength;
        for (int row = 0; row < target.Length / width; row++)
        {
            source.AsSpan((int)map[(long)row * width], width).CopyTo(target.Slice(row * width, width));
        }
    }

    private static void WarnOnce(Assembly assembly)
    {
        bool debug = assembly.GetCustomAttribute<DebuggableAttribute>() is { IsJITOptimizerDisabled: true };
        if (debug && Interlocked.Exchange(ref s_debugWarning, 1) == 0)
        {
            Console.Error.WriteLine($"Shardwright: {assembly.GetName().Name} is a Debug build; its generated kernels run 10 to 25 times slower. Use -c Release to train.");
        }
    }
}
