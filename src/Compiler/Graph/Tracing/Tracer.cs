using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>What tracing yields: a graph, or why there is none.</summary>
public sealed record TraceResult(ModelGraph? Graph, ImmutableArray<Finding> Findings);

/// <summary>Runs the definitions of a model at compile time with bound sizes: what is left is the graph of its tensor ops.</summary>
public sealed partial class Tracer
{
    private const int MaxNodes = 100_000;
    private const int MaxSteps = 1_000_000;
    private const int MaxDepth = 100;
    private const int MaxLayers = 10_000;

    private readonly ModelDefinition _model;
    private readonly Func<string, LayerDefinition?> _layers;
    private readonly CancellationToken _cancellation;
    private readonly GraphBuilder _builder = new();
    private readonly Dictionary<string, object?> _constants = new();
    private readonly HashSet<string> _axes;

    /// <summary>Axes that cut the model into stages on every mesh that has them, with the first such mesh.</summary>
    private readonly Dictionary<string, string> _stageAxes;
    private readonly bool _training;
    private readonly List<Finding> _findings = new();
    private int _steps;
    private int _dropouts;
    private int _depth;
    private LayerDefinition _running;

    /// <summary>Where a layer of another assembly is held or called that is being traced, and its path; empty where none is.</summary>
    private (string Place, string Path) _foreign = ("", "");

    private Tracer(ModelDefinition model, Func<string, LayerDefinition?> layers, bool training, CancellationToken cancellation)
    {
        _model = model;
        _running = model.Layer;
        _layers = layers;
        _training = training;
        _cancellation = cancellation;
        _axes = new HashSet<string>(model.Meshes.SelectMany(m => m.Mesh.Axes).Select(a => a.Name));
        _stageAxes = model.Meshes.SelectMany(m => m.Mesh.Axes.Select(a => (a.Name, a.Role, Mesh: m.Mesh.ShortName))).GroupBy(a => a.Name).Where(g => g.All(a => a.Role == "Pipeline")).ToDictionary(g => g.Key, g => g.First().Mesh);
    }

    private ModelGraph Graph => _builder.Graph;

    /// <summary>Traces one entry.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions by full name with assembly.</param>
    /// <param name="entry">Loss or Forward.</param>
    /// <param name="training">Whether dropout is on.</param>
    /// <param name="cancellation">Ends the run.</param>
    public static TraceResult Trace(ModelDefinition model, Func<string, LayerDefinition?> layers, string entry, bool training, CancellationToken cancellation)
    {
        var tracer = new Tracer(model, layers, training, cancellation);
        try
        {
            tracer.Run(entry);
            return new TraceResult(tracer._findings.Count == 0 ? tracer.Graph : null, tracer._findings.ToImmutableArray());
        }
        catch (TraceException end)
        {
            return new TraceResult(null, ((end.Finding ?? tracer.Damaged()) is { } finding ? tracer._findings.Append(tracer.AtHome(finding)) : tracer._findings).ToImmutableArray());
        }
        catch (InsufficientExecutionStackException)
        {
            return new TraceResult(null, ImmutableArray.Create(new Finding("SW0002", tracer._running.Type, -1, $"'{tracer._running.ShortName}' is nested too deeply to compile: put parts of its expressions into local variables")));
        }
        catch (OverflowException)
        {
            return new TraceResult(null, ImmutableArray.Create(new Finding("SW0003", model.Layer.Type, -1, $"sizes of '{model.Layer.ShortName}' overflow: a tensor would hold more than 2^63 elements")));
        }
    }

    /// <summary>Evaluates a number of the model (a [ShardedOn] argument) with bound constants; null where it cannot be.</summary>
    public static long? Number(ModelDefinition model, Expression expression)
    {
        var tracer = new Tracer(model, _ => null, false, CancellationToken.None);
        try
        {
            return tracer.Evaluate(expression, new LayerInstance(model.Layer, "", new Dictionary<string, object?>()), new Dictionary<string, object?>()) is long value ? value : null;
        }
        catch (Exception error) when (error is TraceException or OverflowException)
        {
            return null;
        }
    }

    private void Run(string entry)
    {
        LayerDefinition definition = _model.Layer;
        MethodDefinition? method = definition.Methods.FirstOrDefault(m => m.Name == entry);
        if (method is null)
        {
            throw new TraceException(null);
        }

        LayerInstance root = Instantiate(definition, "", new Dictionary<string, object?>(), noDecay: false, ImmutableArray<(PlacementAttribute, LayerInstance)>.Empty, null, null);
        var locals = new Dictionary<string, object?>();
        foreach (ParameterDefinition parameter in method.Parameters)
        {
            locals[parameter.Name] = Input(parameter, root);
        }

        object? result = Call(method, root, locals);
        if (result is not Value value)
        {
            throw Fail("SW0005", definition, method.Site, $"{entry} of '{definition.ShortName}' returns no tensor on some path");
        }

        if (entry == "Forward")
        {
            Graph.Result = value;
        }
        else
        {
            Finish(value, definition, method);
        }

        DeadCode.Remove(Graph);
    }

    private void Finish(Value loss, LayerDefinition definition, MethodDefinition method)
    {
        if (loss.Type.Rank != 0)
        {
            throw Fail("SW0003", definition, method.Site, $"Loss of '{definition.ShortName}' returns {loss.Type.ShapeText}: a loss is a scalar; return CrossEntropy(…), Mean(…) or Sum(…)");
        }

        Graph.Losses.Insert(0, (loss, 1));
        if (IsCrossEntropy(loss))
        {
            Graph.LossWeight = loss.Producer!.Outputs[1];
        }
    }

    internal static bool IsCrossEntropy(Value value) => value is { Producer.Op: CrossEntropyOp, ProducerOutput: 0 };

    private Value Input(ParameterDefinition parameter, LayerInstance root)
    {
        if (parameter.Type is not ("Tensor" or "TokenTensor"))
        {
            throw Fail("SW0002", root.Definition, parameter.Site, $"input '{parameter.Name}' of '{root.Definition.ShortName}' is a {parameter.Type}: model inputs are Tensor or TokenTensor");
        }

        if (parameter.Shape.Count == 0)
        {
            throw Fail("SW0004", root.Definition, parameter.Site, $"input '{parameter.Name}' of '{root.Definition.ShortName}' has no shape: write [Shape(Batch, …)] on it; dim 0 is the batch of one step");
        }

        long[] dims = parameter.Shape.Select(e => Size(e, root)).ToArray();
        Value value = _builder.AddInput(parameter.Name, new TensorType(parameter.Type == "Tensor" ? DType.Float32 : DType.Int32, EquatableArray.Of(dims)));
        value.Sizes = dim => dim < parameter.Shape.Count ? Origin(parameter.Shape[dim], root) : null;
        foreach (PlacementAttribute attribute in parameter.Placements)
        {
            AddRequest(value, attribute, root, $"input '{parameter.Name}'");
        }

        return value;
    }

    private long Size(Expression expression, LayerInstance scope)
    {
        object? value = Evaluate(expression, scope, new Dictionary<string, object?>());
        if (value is not long size)
        {
            throw Fail("SW0004", scope.Definition, expression.Site, $"a size in '{scope.Definition.ShortName}' is not a whole number known at compile time");
        }

        return size >= 1 ? size : throw Fail("SW0003", scope.Definition, expression.Site, $"a size in '{scope.Definition.ShortName}' is {size}: sizes are 1 or more");
    }

    private LayerInstance Instantiate(LayerDefinition definition, string path, IReadOnlyDictionary<string, object?> arguments, bool noDecay, ImmutableArray<(PlacementAttribute Attribute, LayerInstance Holder)> held, LayerInstance? within, FieldDefinition? by)
    {
        if (++_depth > MaxDepth)
        {
            string start = path.Length > 60 ? path.Substring(0, 60) + "…" : path;
            throw Fail("SW0002", within?.Definition ?? definition, by?.Site ?? -1, $"layers are nested more than {MaxDepth} deep at '{start}': does '{definition.ShortName}' hold itself?");
        }

        LayerDefinition holder = _running;
        (string, string) foreign = _foreign;
        _running = definition;
        if (within is not null && by is not null && !IsOwn(definition) && IsOwn(within.Definition))
        {
            _foreign = (within.Definition.Type + "#" + by.Site.ToString(System.Globalization.CultureInfo.InvariantCulture), path);
        }

        var instance = new LayerInstance(definition, path, arguments) { Holder = within, HeldBy = by };
        noDecay |= definition.NoDecay;
        if (definition.Recompute)
        {
            Graph.Recompute.Add((path, definition.Type + "#-1"));
        }

        foreach (FieldDefinition field in definition.Fields)
        {
            Step();
            if (field is FieldDefinition.Layer { Recompute: true } or FieldDefinition.LayerStack { Recompute: true })
            {
                Graph.Recompute.Add((instance.PathOf(field), definition.Type + "#" + field.Site));
            }

            switch (field)
            {
                case FieldDefinition.Parameter parameter:
                    instance.Fields[field.Name] = AddParameter(parameter, instance, noDecay || parameter.NoDecay, held);
                    break;
                case FieldDefinition.Layer layer:
                    AddStages(layer.Stages, instance, field);
                    LayerDefinition inner = Find(layer.Type, definition, field);
                    instance.Fields[field.Name] = Instantiate(inner, instance.PathOf(field), Bind(inner, layer.Arguments, instance), noDecay || layer.NoDecay, Held(layer.Placements, inner, instance, held, field.Name), instance, field);
                    break;
                case FieldDefinition.LayerStack stack:
                    AddStages(stack.Stages, instance, field);
                    long layers = Size(stack.Count, instance);
                    var made = new StackInstance(stack, instance, layers <= MaxLayers
                        ? (int)layers
                        : throw Fail("SW0003", definition, stack.Count.Site, $"stack '{instance.PathOf(field)}' has {layers} layers: a stack has at most {MaxLayers}"));
                    instance.Fields[field.Name] = made;
                    if (_builder.Region.Stack is not null)
                    {
                        LayerDefinition body = Find(stack.Type, definition, field);
                        for (int i = 0; i < made.Layers; i++)
                        {
                            Step();
                            made.Unrolled.Add(Instantiate(body, instance.PathOf(field) + "." + i, Bind(body, stack.Arguments, instance), noDecay || stack.NoDecay, Held(stack.Placements, body, instance, held, field.Name), instance, field));
                        }
                    }

                    break;
            }
        }

        _depth--;
        _running = holder;
        _foreign = foreign;
        return instance;
    }

    private LayerDefinition Find(string type, LayerDefinition holder, FieldDefinition field) =>
        _layers(type) ?? throw new TraceException(null);

    /// <summary>Placements that the field holding a layer gives to the layer's parameters; what a still outer field says comes first.</summary>
    private ImmutableArray<(PlacementAttribute, LayerInstance)> Held(EquatableArray<PlacementAttribute> own, LayerDefinition layer, LayerInstance holder, ImmutableArray<(PlacementAttribute Attribute, LayerInstance Holder)> outer, string fieldName)
    {
        var result = ImmutableArray.CreateBuilder<(PlacementAttribute, LayerInstance)>();
        foreach ((PlacementAttribute attribute, LayerInstance from) in outer)
        {
            if (attribute.Parameter.StartsWith(fieldName + ".", StringComparison.Ordinal))
            {
                result.Add((attribute with { Parameter = attribute.Parameter.Substring(fieldName.Length + 1) }, from));
            }
        }

        foreach (PlacementAttribute attribute in own)
        {
            string name = attribute.Parameter;
            var parameters = layer.Fields.OfType<FieldDefinition.Parameter>().ToList();
            if (name.Length == 0 && parameters.Count == 1)
            {
                name = parameters[0].Name;
            }

            if (!name.Contains(".") && parameters.All(p => p.Name != name))
            {
                string place = holder.Definition.Type + "#" + attribute.Site;
                string names = parameters.Count == 0 ? "none" : string.Join(", ", parameters.Select(p => p.Name));
                _findings.Add(Finding.At("SW1004", place, name.Length == 0
                    ? $"[{attribute.Kind}(\"{attribute.Axis}\")] on '{fieldName}': layer '{layer.ShortName}' has {parameters.Count} parameters ({names}); say which with Parameter = nameof(…)"
                    : $"layer '{layer.ShortName}' has no parameter '{name}': it has {names}") with
                {
                    Fixes = parameters.Select(p => Fix.Of($"Place '{p.Name}'", "SW1004/" + p.Name, EditKind.SetArgument, place, "Parameter", $"nameof({layer.Type.Split(',')[0]}.{p.Name})"))
                        .Append(Fix.Of("Remove the placement", "SW1004/remove", EditKind.RemoveAttribute, place)).ToEquatable(),
                });
                continue;
            }

            result.Add((attribute with { Parameter = name }, holder));
        }

        return result.ToImmutable();
    }

    private Dictionary<string, object?> Bind(LayerDefinition layer, EquatableArray<Argument> arguments, LayerInstance scope)
    {
        var result = new Dictionary<string, object?>();
        var none = new Dictionary<string, object?>();
        foreach (Argument argument in arguments)
        {
            result[argument.Name] = Evaluate(argument.Value, scope, none);
        }

        foreach (ParameterDefinition parameter in layer.ConstructorParameters.Where(p => p.Default is not null && !result.ContainsKey(p.Name)))
        {
            result[parameter.Name] = Evaluate(parameter.Default!, scope, none);
        }

        return result;
    }

    private Value AddParameter(FieldDefinition.Parameter field, LayerInstance owner, bool noDecay, ImmutableArray<(PlacementAttribute Attribute, LayerInstance Holder)> held)
    {
        var none = new Dictionary<string, object?>();
        long[] dims = field.Shape.Select(e => Size(e, owner)).ToArray();
        float[] numbers = field.InitArguments.Select(e => (float)ToDouble(Evaluate(e, owner, none))).ToArray();
        Initializer init = field.Init switch
        {
            "Uniform" => new Initializer(InitKind.Uniform, numbers.ElementAtOrDefault(0), numbers.ElementAtOrDefault(1)),
            "Zeros" => new Initializer(InitKind.Constant, 0, 0),
            "Ones" => new Initializer(InitKind.Constant, 1, 0),
            "Constant" => new Initializer(InitKind.Constant, numbers.ElementAtOrDefault(0), 0),
            _ => new Initializer(InitKind.Normal, numbers.ElementAtOrDefault(1), numbers.Length > 0 ? numbers[0] : 0.02f),
        };
        string path = owner.PathOf(field);
        Value value = _builder.AddParameter(field.PathName, new TensorType(DType.Float32, EquatableArray.Of(dims)), new ParameterInfo(path, init, noDecay) { Annotation = Annotation(field, owner) });
        value.Sizes = dim => dim < field.Shape.Count ? Origin(field.Shape[dim], owner) : null;
        foreach ((PlacementAttribute attribute, LayerInstance holder) in held.Where(h => h.Attribute.Parameter == field.Name))
        {
            AddRequest(value, attribute, holder, $"parameter '{value.Parameter!.Shown}'");
        }

        foreach (PlacementAttribute attribute in field.Placements)
        {
            // What the holder of a layer says about an axis takes the place of what the layer itself says.
            if (held.All(h => h.Attribute.Parameter != field.Name || h.Attribute.Axis != attribute.Axis))
            {
                AddRequest(value, attribute, owner, $"parameter '{value.Parameter!.Shown}'");
            }
        }

        return value;
    }

    private void AddStages(EquatableArray<StagesAttribute> attributes, LayerInstance scope, FieldDefinition field)
    {
        foreach (StagesAttribute attribute in attributes)
        {
            EquatableArray<long> counts = attribute.Counts.Select(e => Evaluate(e, scope, new Dictionary<string, object?>()) is long count
                ? count
                : throw Fail("SW0004", scope.Definition, attribute.Site, $"a number of [Stages] on '{scope.PathOf(field)}' is not a whole number known at compile time")).ToEquatable();
            Graph.StageRequests.Add(new StageRequest(scope.PathOf(field), attribute.Mesh, attribute.IsSingle, counts, scope.Definition.Type + "#" + attribute.Site));
        }
    }

    private void AddRequest(Value value, PlacementAttribute attribute, LayerInstance scope, string what)
    {
        Placement placement = attribute.Kind switch
        {
            "Split" => Placement.Split((int)Math.Max(int.MinValue, Math.Min(int.MaxValue, ToLong(Evaluate(attribute.Dim!, scope, new Dictionary<string, object?>()))))),
            "Partial" => Placement.Partial,
            _ => Placement.Broadcast,
        };
        AddRequest(value, attribute.Axis, placement, scope.Definition.Type + "#" + attribute.Site, what);
    }

    private void AddRequest(Value value, string axis, Placement placement, string place, string what)
    {
        // Each is said and left out, and tracing goes on: ten of them are ten findings, not one after another.
        if (_axes.Count > 0 && !_axes.Contains(axis))
        {
            string nearest = _axes.OrderBy(a => Distance(a, axis)).ThenBy(a => a, StringComparer.Ordinal).First();
            _findings.Add(Finding.At("SW1001", place, $"no mesh of '{_model.Layer.ShortName}' has an axis '{axis}': {what} names it; did you mean '{nearest}'?") with
            {
                Fixes = EquatableArray.Of(Fix.Of($"Name axis '{nearest}'", "SW1001/nearest", EditKind.SetString, place, axis, nearest)),
            });
            return;
        }

        if (_stageAxes.TryGetValue(axis, out string? mesh))
        {
            _findings.Add(Finding.At("SW1004", place, $"axis '{axis}' of '{mesh}' shares out the layers of '{_model.Layer.ShortName}' to stages, and {what} is placed on it: name an axis of another role, or use [Stages] on a LayerStack") with
            {
                Fixes = what.StartsWith("parameter '", StringComparison.Ordinal) || what.StartsWith("input '", StringComparison.Ordinal)
                    ? EquatableArray.Of(Fix.Of("Remove the placement", "SW1004/remove", EditKind.RemoveAttribute, place))
                    : default,
            });
            return;
        }

        if (placement.IsSplit && (placement.Dim < 0 || placement.Dim >= value.Type.Rank))
        {
            _findings.Add(Finding.At("SW1002", place, $"dim {placement.Dim} of {what} does not exist: its shape is {value.Type.ShapeText}, so dims are 0 to {value.Type.Rank - 1}"));
            return;
        }

        if (placement.IsPartial && value.Kind is ValueKind.Parameter or ValueKind.Input && placement.IsPartial)
        {
            _findings.Add(Finding.At("SW1004", place, $"{what} cannot be partial on '{axis}': a partial value is a sum that ranks have computed; use Split or Broadcast") with
            {
                Fixes = EquatableArray.Of(Fix.Of("Remove the placement", "SW1004/remove", EditKind.RemoveAttribute, place)),
            });
            return;
        }

        if (value.Requests.FirstOrDefault(r => r.Axis == axis && r.Placement != placement) is { } other)
        {
            _findings.Add(Finding.At("SW1004", place, $"{what} is {other.Placement} and {placement} on axis '{axis}': a tensor has one placement on an axis; keep either") with
            {
                Fixes = EquatableArray.Of(
                    Fix.Of($"Keep {other.Placement}", "SW1004/first", EditKind.RemoveAttribute, place),
                    Fix.Of($"Keep {placement}", "SW1004/second", EditKind.RemoveAttribute, other.Site)),
            });
            return;
        }

        if (value.Requests.All(r => r.Axis != axis))
        {
            value.Requests.Add(new PlacementRequest(axis, placement, place));
        }
    }

    private static int Distance(string a, string b)
    {
        int[] row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j] + 1, row[j - 1] + 1), diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
            }
        }

        return row[b.Length];
    }

    /// <summary>What stands in source and cannot be traced was said there, or by the compiler. Nobody has said anything of a graph from another assembly that
    /// can be read, but makes no sense.</summary>
    private Finding? Damaged()
    {
        string assembly = Assembly(_running);
        return IsOwn(_running) ? null : new Finding(
            "SW0007", _running.Type, -1, $"the graph of layer '{_running.ShortName}' of assembly '{assembly}' is damaged: it uses something that it does not hold, or in another way than it is; build that assembly again");
    }

    private bool IsOwn(LayerDefinition layer) => Assembly(layer) == Assembly(_model.Layer);

    /// <summary>A fault within a layer of another assembly, said where the model's own source holds or calls it, with the path of that layer.</summary>
    private Finding AtHome(Finding finding) => _foreign.Place.Length == 0 || finding.TypeName.EndsWith(", " + Assembly(_model.Layer), StringComparison.Ordinal)
        ? finding
        : Finding.At(finding.Id, _foreign.Place, $"{finding.Message}, in '{_foreign.Path}'");

    private void Step()
    {
        _cancellation.ThrowIfCancellationRequested();
        if (++_steps > MaxSteps || Graph.Values.Count > MaxNodes)
        {
            throw new TraceException(new Finding("SW0002", _model.Layer.Type, -1, $"'{_model.Layer.ShortName}' is too large to compile: more than {MaxSteps:N0} steps or {MaxNodes:N0} values; put repeated layers into a LayerStack, which is compiled once"));
        }
    }

    private static TraceException Fail(string id, LayerDefinition definition, int site, string message) => new(new Finding(id, definition.Type, site, message));

    private static double ToDouble(object? value) => value switch { long l => l, double d => d, bool b => b ? 1 : 0, _ => throw new TraceException(null) };

    private static long ToLong(object? value) => value switch { long l => l, _ => throw new TraceException(null) };
}
