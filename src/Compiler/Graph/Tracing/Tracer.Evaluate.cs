using System.Runtime.CompilerServices;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>Expressions, statements and calls.</summary>
public sealed partial class Tracer
{
    private sealed record Returned(object? Value);

    private object? Call(MethodDefinition method, LayerInstance layer, Dictionary<string, object?> locals, string place = "")
    {
        if (++_depth > MaxDepth)
        {
            throw Fail("SW0002", layer.Definition, method.Site, $"'{method.Name}' of '{layer.Definition.ShortName}' calls itself, more than {MaxDepth} deep: a helper is inlined and must end");
        }

        string origin = _builder.Origin;
        LayerDefinition caller = _running;
        (string, string) foreign = _foreign;
        if (IsOwn(layer.Definition))
        {
            _foreign = ("", "");
        }
        else if (IsOwn(caller))
        {
            _foreign = (place, layer.Path);
        }

        _builder.Origin = layer.Path;
        _running = layer.Definition;
        object? result = Execute(method.Body, layer, locals)?.Value;
        if (result is Value value && method.ReturnPlacements.Count > 0)
        {
            Value placed = _builder.Add(new ElementwiseOp("Reshard", ScalarExpression.In(0)), value);
            foreach (PlacementAttribute attribute in method.ReturnPlacements)
            {
                AddRequest(placed, attribute, layer, $"the result of {method.Name}");
            }

            result = placed;
        }

        _builder.Origin = origin;
        _running = caller;
        _foreign = foreign;
        _depth--;
        return result;
    }

    private Returned? Execute(EquatableArray<Statement> statements, LayerInstance layer, Dictionary<string, object?> locals)
    {
        foreach (Statement statement in statements)
        {
            Step();
            switch (statement)
            {
                case Statement.Assign assign:
                    Set(locals, assign.Local, Evaluate(assign.Value, layer, locals));
                    break;
                case Statement.TakeApart apart:
                    if (Evaluate(apart.Value, layer, locals) is not object?[] items || items.Length < apart.Locals.Count)
                    {
                        throw Fail("SW0002", layer.Definition, apart.Value.Site, $"this does not have the {apart.Locals.Count} parts that are taken from it");
                    }

                    for (int i = 0; i < apart.Locals.Count; i++)
                    {
                        Set(locals, apart.Locals[i], items[i]);
                    }

                    break;
                case Statement.Evaluate evaluate:
                    Evaluate(evaluate.Value, layer, locals);
                    break;
                case Statement.Return end:
                    return new Returned(Evaluate(end.Value, layer, locals));
                case Statement.If branch:
                    if (Execute(Condition(branch.Condition, layer, locals) ? branch.Then : branch.Else, layer, locals) is { } returned)
                    {
                        return returned;
                    }

                    break;
                case Statement.For loop:
                    locals[loop.Local] = Evaluate(loop.From, layer, locals);
                    while (Condition(loop.Condition, layer, locals))
                    {
                        Step();
                        if (Execute(loop.Body, layer, locals) is { } inside)
                        {
                            return inside;
                        }

                        locals[loop.Local] = checked(ToLong(locals[loop.Local]) + ToLong(Evaluate(loop.Step, layer, locals)));
                    }

                    break;
            }
        }

        return null;
    }

    private static void Set(Dictionary<string, object?> locals, string name, object? value)
    {
        if (name.Length == 0)
        {
            return;
        }

        if (value is Value { HasDefaultName: true } tensor)
        {
            tensor.Name = name;
            tensor.HasDefaultName = false;
        }

        locals[name] = value;
    }

    private bool Condition(Expression expression, LayerInstance layer, Dictionary<string, object?> locals) =>
        Evaluate(expression, layer, locals) switch
        {
            bool b => b,
            Value => throw Fail("SW0002", layer.Definition, expression.Site, "a condition on a tensor's values is not known at compile time: use Where(condition, a, b)"),
            _ => throw new TraceException(null),
        };

    private object? Evaluate(Expression expression, LayerInstance layer, Dictionary<string, object?> locals)
    {
        Step();
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (expression)
        {
            case Expression.Integer i:
                return i.Value;
            case Expression.Number n:
                return n.Value;
            case Expression.Boolean b:
                return b.Value;
            case Expression.Text t:
                return t.Value;
            case Expression.Nothing:
                return null;
            case Expression.ConstantReference c:
                return Constant(c, layer);
            case Expression.ConstructorParameter p:
                return layer.Arguments.TryGetValue(p.Name, out object? argument) ? argument : throw new TraceException(null);
            case Expression.Local l:
                return locals.TryGetValue(l.Name, out object? local) ? local : throw new TraceException(null);
            case Expression.Unary u:
                return Unary(u, Evaluate(u.Operand, layer, locals), layer);
            case Expression.Binary { Operator: "&&" } and:
                return Condition(and.Left, layer, locals) && Condition(and.Right, layer, locals);
            case Expression.Binary { Operator: "||" } or:
                return Condition(or.Left, layer, locals) || Condition(or.Right, layer, locals);
            case Expression.Binary b:
                return Binary(b, Evaluate(b.Left, layer, locals), Evaluate(b.Right, layer, locals), layer);
            case Expression.Conditional c:
                return Evaluate(Condition(c.Condition, layer, locals) ? c.IfTrue : c.IfFalse, layer, locals);
            case Expression.Sequence s:
                return s.Items.Select(i => Evaluate(i, layer, locals)).ToArray();
            case Expression.Item item:
                return Evaluate(item.Value, layer, locals) is object?[] items && Evaluate(item.Index, layer, locals) is long index && index >= 0 && index < items.Length
                    ? items[index]
                    : throw Fail("SW0002", layer.Definition, item.Site, "this index is not a constant within the sequence");
            case Expression.SizeOf size:
                return SizeOf(size, layer, locals);
            case Expression.RankOf rank:
                return Evaluate(rank.Value, layer, locals) is Value ranked ? (long)ranked.Type.Rank : throw new TraceException(null);
            case Expression.ParameterReference p:
                Value parameter = Field(p.Field, layer) as Value ?? throw new TraceException(null);
                parameter.IsRead = true;
                return parameter;
            case Expression.PlacementValue p:
                return (Axis: Evaluate(p.Axis, layer, locals) as string ?? "", Placement: p.Kind switch
                {
                    "Split" => Placement.Split((int)ToLong(Evaluate(p.Dim!, layer, locals))),
                    "Partial" => Placement.Partial,
                    _ => Placement.Broadcast,
                });
            case Expression.ElementwiseCall e:
                At(layer, e.Site, e.Source);
                Value[] operands = e.Arguments.Select(a => Evaluate(a, layer, locals) as Value ?? throw new TraceException(null)).ToArray();
                At(layer, e.Site, e.Source);
                return Add(layer, e.Site, new ElementwiseOp(e.Name, e.Body), operands);
            case Expression.MethodCall call:
                return MethodCall(call, layer, locals);
            case Expression.OpCall op:
                return OpCall(op, layer, locals);
            default:
                throw new TraceException(null);
        }
    }

    private object? Constant(Expression.ConstantReference reference, LayerInstance layer)
    {
        string key = reference.Name.Contains(".") ? reference.Name : layer.Definition.Type + "/" + reference.Name;
        if (_constants.TryGetValue(key, out object? known))
        {
            return known ?? throw new TraceException(null);
        }

        _constants[key] = null;
        ConstantDefinition? definition = layer.Definition.Constants.FirstOrDefault(c => c.Name == reference.Name);
        if (definition is null)
        {
            throw new TraceException(null);
        }

        object? value = definition.Value is { } initial ? Evaluate(initial, layer, new Dictionary<string, object?>())
            : definition.IsBoolean ? definition.Fixed != 0
            : definition.IsInteger ? (object)(long)definition.Fixed : definition.Fixed;
        _constants[key] = value;
        return value;
    }

    private object Unary(Expression.Unary u, object? operand, LayerInstance layer)
    {
        switch (operand)
        {
            case long l when u.Operator == "-":
                return checked(-l);
            case double d when u.Operator == "-":
                return -d;
            case bool b when u.Operator == "!":
                return !b;
            case Value v when u.Operator == "-":
                return Add(layer, u.Site, Functions.Find("Negate")!, v);
            default:
                throw new TraceException(null);
        }
    }

    private object Binary(Expression.Binary b, object? left, object? right, LayerInstance layer)
    {
        if (left is Value || right is Value)
        {
            return TensorBinary(b, left, right, layer);
        }

        if (left is long x && right is long y)
        {
            return b.Operator switch
            {
                "+" => checked(x + y),
                "-" => checked(x - y),
                "*" => checked(x * y),
                "/" => y != 0 ? x / y : throw Fail("SW0004", layer.Definition, b.Site, $"{x} is divided by zero here"),
                "%" => y != 0 ? x % y : throw Fail("SW0004", layer.Definition, b.Site, $"{x} is divided by zero here"),
                "<" => x < y,
                "<=" => x <= y,
                ">" => x > y,
                ">=" => x >= y,
                "==" => x == y,
                "!=" => (object)(x != y),
                _ => throw new TraceException(null),
            };
        }

        if (left is string or bool || right is string or bool)
        {
            return b.Operator switch { "==" => Equals(left, right), "!=" => (object)!Equals(left, right), _ => throw new TraceException(null) };
        }

        double p = ToDouble(left), q = ToDouble(right);
        return b.Operator switch
        {
            "+" => p + q,
            "-" => p - q,
            "*" => p * q,
            "/" => p / q,
            "%" => p % q,
            "<" => p < q,
            "<=" => p <= q,
            ">" => p > q,
            ">=" => p >= q,
            "==" => p == q,
            "!=" => (object)(p != q),
            _ => throw new TraceException(null),
        };
    }

    private Value TensorBinary(Expression.Binary b, object? left, object? right, LayerInstance layer)
    {
        string name = b.Operator switch
        {
            "+" => "Add",
            "-" => "Subtract",
            "*" => "Multiply",
            "/" => "Divide",
            _ => throw Fail("SW0002", layer.Definition, b.Site, $"operator {b.Operator} on tensors is not supported in Forward: use Greater, Less, Equal and Where"),
        };
        ElementwiseOp op = Functions.Find(name)!;
        if (left is Value l && right is Value r)
        {
            return Add(layer, b.Site, op, l, r);
        }

        // A number on one side is part of the function, not an operand.
        ScalarExpression body = ScalarAlgebra.Substitute(op.Body, i => (i == 0 ? left : right) is Value ? ScalarExpression.In(0) : new ScalarExpression.Constant((float)ToDouble(i == 0 ? left : right)));
        return Add(layer, b.Site, new ElementwiseOp(name, body), (Value)(left as Value ?? right!));
    }

    private object SizeOf(Expression.SizeOf size, LayerInstance layer, Dictionary<string, object?> locals)
    {
        if (Evaluate(size.Value, layer, locals) is not Value value)
        {
            throw new TraceException(null);
        }

        long dim = ToLong(Evaluate(size.Dim, layer, locals));
        return dim >= 0 && dim < value.Type.Rank
            ? value.Type.Dims[(int)dim]
            : throw Fail("SW0003", layer.Definition, size.Site, $"dim {dim} of '{value.Name}' does not exist: its shape is {value.Type.ShapeText}");
    }

    private static object? Field(string path, LayerInstance layer)
    {
        object? current = layer;
        foreach (string name in path.Split('.'))
        {
            current = current is LayerInstance instance && instance.Fields.TryGetValue(name, out object? inner) ? inner : null;
        }

        return current;
    }

    private object? MethodCall(Expression.MethodCall call, LayerInstance layer, Dictionary<string, object?> locals)
    {
        object?[] arguments = call.Arguments.Select(a => Evaluate(a, layer, locals)).ToArray();
        switch (call.Field.Length == 0 ? layer : Field(call.Field, layer))
        {
            case StackInstance stack:
                At(layer, call.Site, call.Source);
                return CallStack(stack, arguments, call, layer);
            case LayerInstance target:
                return CallMethod(target, call.Method, arguments, call, layer);
            default:
                throw new TraceException(null);
        }
    }

    private object? CallMethod(LayerInstance target, string name, object?[] arguments, Expression.MethodCall call, LayerInstance caller)
    {
        MethodDefinition? method = target.Definition.Methods.FirstOrDefault(m => m.Name == name && m.Parameters.Count == arguments.Length)
            ?? target.Definition.Methods.FirstOrDefault(m => m.Name == name);
        if (method is null || method.Parameters.Count < arguments.Length)
        {
            throw Fail("SW0002", caller.Definition, call.Site, $"'{name}' of layer '{target.Definition.ShortName}' is not part of its graph: a layer held in a field is called through Forward");
        }

        var locals = new Dictionary<string, object?>();
        for (int i = 0; i < method.Parameters.Count; i++)
        {
            ParameterDefinition parameter = method.Parameters[i];
            object? value = i < arguments.Length ? arguments[i] : parameter.Default is { } initial ? Evaluate(initial, target, new Dictionary<string, object?>()) : null;
            if (value is Value tensor && parameter.Placements.Count > 0)
            {
                Value placed = _builder.Add(new ElementwiseOp("Reshard", ScalarExpression.In(0)), tensor);
                placed.Name = parameter.Name;
                foreach (PlacementAttribute attribute in parameter.Placements)
                {
                    AddRequest(placed, attribute, target, $"parameter '{parameter.Name}' of {target.Definition.ShortName}.{name}");
                }

                value = placed;
            }

            locals[parameter.Name] = value;
        }

        return Call(method, target, locals, caller.Definition.Type + "#" + call.Site.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    private object? CallStack(StackInstance stack, object?[] arguments, Expression.MethodCall call, LayerInstance caller)
    {
        if (arguments.Length == 0 || arguments[0] is not Value input)
        {
            throw new TraceException(null);
        }

        string path = stack.Owner.PathOf(stack.Field);
        if (_builder.Region.Stack is not null)
        {
            object? current = input;
            foreach (LayerInstance inner in stack.Unrolled)
            {
                arguments[0] = current;
                current = CallMethod(inner, "Forward", arguments, call, caller);
            }

            return current;
        }

        if (stack.Called)
        {
            throw Fail("SW0002", caller.Definition, call.Site, $"stack '{path}' is called twice: its layers run as one loop, once; make two stacks, or one with twice the layers");
        }

        stack.Called = true;
        LayerDefinition definition = Find(stack.Field.Type, stack.Owner.Definition, stack.Field);
        Stack described = _builder.AddStack(path, stack.Layers, definition.ShortName);
        Region loop = _builder.Begin(described, backward: false);
        int first = _dropouts;
        LayerInstance body = Instantiate(definition, path + ".{0}", Bind(definition, stack.Field.Arguments, stack.Owner), stack.Field.NoDecay || stack.Owner.Definition.NoDecay, Held(stack.Field.Placements, definition, stack.Owner, ImmutableArray<(PlacementAttribute, LayerInstance)>.Empty, stack.Field.Name), stack.Owner, stack.Field);
        Value argument = _builder.AddCarried(input.Name, input.Type);
        arguments[0] = argument;
        if (CallMethod(body, "Forward", arguments, call, caller) is not Value result)
        {
            throw new TraceException(null);
        }

        if (!result.Type.Equals(argument.Type))
        {
            throw Fail("SW0003", caller.Definition, call.Site, $"layers of stack '{path}' take {argument.Type.ShapeText} and return {result.Type.ShapeText}: each layer of a stack must return the shape that the next one takes");
        }

        // Keys inside the loop were counted for one layer; every layer goes on where the one before it ended.
        int perLayer = _dropouts - first;
        for (int i = 0; i < loop.Nodes.Count; i++)
        {
            if (loop.Nodes[i].Op is DropoutOp dropout)
            {
                Node old = loop.Nodes[i];
                loop.Nodes[i] = new Node(old.Id, dropout with { Key = $"{dropout.Key}+{perLayer}*{{0}}" }, old.Inputs, old.Outputs, old.Origin, old.Source, old.Site, false);
                loop.Nodes[i].Outputs[0].Producer = loop.Nodes[i];
            }
        }

        _dropouts = first + perLayer * stack.Layers;
        _builder.Begin(null, backward: false);
        Value final = _builder.AddFinal(result.Name, result.Type);
        loop.Carries.Add(new Carry(input, argument, result, final));
        return final;
    }

    private void At(LayerInstance layer, int site, string source)
    {
        _builder.Site = Place(layer, site);
        _builder.Source = source;
    }

    /// <summary>Where an op is said to stand: what a layer of another assembly computes stands where the model's own source calls it, and nothing is written there.</summary>
    private string Place(LayerInstance layer, int site) => _foreign.Place.Length > 0 ? _foreign.Place + Finding.Elsewhere : layer.Definition.Type + "#" + site;

    private Value Add(LayerInstance layer, int site, Op op, params Value[] inputs)
    {
        _builder.Site = Place(layer, site);
        return Add(op, inputs);
    }

    private Value Add(Op op, params Value[] inputs) => AddNode(op, inputs).Outputs[0];

    private Node AddNode(Op op, params Value[] inputs)
    {
        Step();
        if (inputs.FirstOrDefault(IsCrossEntropy) is not null)
        {
            throw new TraceException(Finding.At("SW0002", _builder.Site, "a cross-entropy is a sum and a weight, divided once at the end: return it as the loss, or add it with AddLoss(value, weight); it cannot be an operand"));
        }

        if (inputs.Any(i => !i.Type.IsFloat) && op is ElementwiseOp or MatMulOp or SoftmaxOp)
        {
            Value tokens = inputs.First(i => !i.Type.IsFloat);
            throw new TraceException(Finding.At("SW0003", _builder.Site, $"{op.Name} of '{tokens.Name}', which holds integers: use Cast(…) first"));
        }

        try
        {
            return _builder.AddNode(op, inputs);
        }
        catch (ShapeException error)
        {
            string names = string.Join(", ", inputs.Select(i => $"'{i.Name}' {i.Type.ShapeText}"));
            throw new TraceException(Finding.At("SW0003", _builder.Site, $"{error.Message} (operands: {names}){(_foreign.Place.Length > 0 ? $", in '{_foreign.Path}'" : "")}"));
        }
    }
}
