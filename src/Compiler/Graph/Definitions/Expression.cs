namespace Shardwright.Compiler.Graph.Definitions;

/// <summary>What a layer's methods are made of, symbolic and free of Roslyn: a small language that is run at compile time
/// ("traced") with bound sizes, and yields a <see cref="ModelGraph"/>. Loops and conditions on constants stay symbolic here,
/// so a plan can be made again with other numbers.</summary>
/// <param name="Site">Location id within the type (a number that the analyzers' side table maps to a location); −1 for none.</param>
public abstract record Expression(int Site)
{
    /// <summary>An integer.</summary>
    public sealed record Integer(long Value, int Site) : Expression(Site);

    /// <summary>A floating-point number.</summary>
    public sealed record Number(double Value, int Site) : Expression(Site);

    /// <summary>True or false.</summary>
    public sealed record Boolean(bool Value, int Site) : Expression(Site);

    /// <summary>A string: an axis name.</summary>
    public sealed record Text(string Value, int Site) : Expression(Site);

    /// <summary>An absent optional operand.</summary>
    public sealed record Nothing(int Site) : Expression(Site);

    /// <summary>A constant of a type, by name: of this layer (<c>Hidden</c>) or of another (<c>My.Sizes.Hidden</c>). Its value may be overridden when a plan is made.</summary>
    public sealed record ConstantReference(string Name, int Site) : Expression(Site);

    /// <summary>A parameter of the layer's constructor.</summary>
    public sealed record ConstructorParameter(string Name, int Site) : Expression(Site);

    /// <summary>A local variable or a parameter of the method.</summary>
    public sealed record Local(string Name, int Site) : Expression(Site);

    /// <summary>Arithmetic, comparison or logic on compile-time numbers, or an elementwise operator where an operand is a tensor.
    /// Operators: + - * / % &lt; &lt;= &gt; &gt;= == != &amp;&amp; ||.</summary>
    public sealed record Binary(string Operator, Expression Left, Expression Right, int Site) : Expression(Site);

    /// <summary>Operators: - (number or tensor), !.</summary>
    public sealed record Unary(string Operator, Expression Operand, int Site) : Expression(Site);

    /// <summary>condition ? a : b on a compile-time condition.</summary>
    public sealed record Conditional(Expression Condition, Expression IfTrue, Expression IfFalse, int Site) : Expression(Site);

    /// <summary>A call of <c>Shardwright.Ops.Name</c>; arguments by parameter name (omitted optional ones are absent), params arrays as <see cref="Sequence"/>.</summary>
    public sealed record OpCall(string Name, EquatableArray<Argument> Arguments, string Source, int Site) : Expression(Site);

    /// <summary>A call of a user's [Elementwise] function on tensors (Ops.Map), its body inlined.</summary>
    public sealed record ElementwiseCall(string Name, ScalarExpression Body, EquatableArray<Expression> Arguments, string Source, int Site) : Expression(Site);

    /// <summary>A call of a method of the same layer (Field is empty) or of a layer held in a field (dotted for nested access, <c>blocks</c>, <c>mixer.inner</c>).</summary>
    public sealed record MethodCall(string Field, string Method, EquatableArray<Expression> Arguments, string Source, int Site) : Expression(Site);

    /// <summary>A parameter field, of this layer (<c>up</c>) or of a layer held in a field (<c>tokens.Weight</c>).</summary>
    public sealed record ParameterReference(string Field, int Site) : Expression(Site);

    /// <summary><c>x.Shape[i]</c>.</summary>
    public sealed record SizeOf(Expression Value, Expression Dim, int Site) : Expression(Site);

    /// <summary><c>x.Shape.Rank</c>.</summary>
    public sealed record RankOf(Expression Value, int Site) : Expression(Site);

    /// <summary>A tuple or an array of values.</summary>
    public sealed record Sequence(EquatableArray<Expression> Items, int Site) : Expression(Site);

    /// <summary>One item of a tuple or array.</summary>
    public sealed record Item(Expression Value, Expression Index, int Site) : Expression(Site);

    /// <summary><c>Placement.Split("tp", 1)</c> and its kin: Kind is Split, Broadcast or Partial.</summary>
    public sealed record PlacementValue(string Kind, Expression Axis, Expression? Dim, int Site) : Expression(Site);

    /// <summary>What could not be compiled. It carries no message: the finding was made where it stands; all that derives from it stays silent.</summary>
    public sealed record Unknown(int Site) : Expression(Site);
}

/// <summary>A named argument of an op.</summary>
public sealed record Argument(string Name, Expression Value);

/// <summary>Statements of a method.</summary>
public abstract record Statement
{
    /// <summary>Sets a local variable, declared or not.</summary>
    public sealed record Assign(string Local, Expression Value) : Statement;

    /// <summary>Takes a tuple or an array apart; an empty name discards.</summary>
    public sealed record TakeApart(EquatableArray<string> Locals, Expression Value) : Statement;

    /// <summary>Evaluates for its effect: AddLoss.</summary>
    public sealed record Evaluate(Expression Value) : Statement;

    /// <summary>for (int i = from; condition; i += step) on compile-time numbers; unrolled.</summary>
    public sealed record For(string Local, Expression From, Expression Condition, Expression Step, EquatableArray<Statement> Body, int Site) : Statement;

    /// <summary>if on a compile-time condition.</summary>
    public sealed record If(Expression Condition, EquatableArray<Statement> Then, EquatableArray<Statement> Else) : Statement;

    /// <summary>Ends the method.</summary>
    public sealed record Return(Expression Value) : Statement;
}
