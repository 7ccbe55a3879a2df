using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>A method of the program: a region of the graph.</summary>
/// <param name="Name">C# identifier: <c>ForwardBlocks</c>.</param>
/// <param name="Summary">What it does, for its doc comment.</param>
/// <param name="TakesLayer">Whether it is called per layer.</param>
public sealed record MethodPlan(string Name, string Summary, bool TakesLayer, EquatableArray<ProgramStatement> Statements);

/// <summary>A model input of an entry.</summary>
/// <param name="Name">Parameter name.</param>
/// <param name="Element">Element type.</param>
/// <param name="Logical">Logical sizes, of the whole step.</param>
/// <param name="Local">Sizes that a rank reads per micro-batch.</param>
/// <param name="Start">Logical position of the first element read, for each dim.</param>
public sealed record InputPlan(string Name, DType Element, EquatableArray<long> Logical, EquatableArray<long> Local, EquatableArray<Offset> Start);

/// <summary>An entry of the model: Train, Evaluate or Infer.</summary>
/// <param name="Name">Train, Evaluate or Infer.</param>
/// <param name="Phases">What is run for each micro-batch: one phase for a model of one stage, else one for each action of the stage.</param>
/// <param name="Methods">One for each region.</param>
/// <param name="Result">Operand that holds the inference result of a micro-batch; null for others.</param>
/// <param name="ResultDims">Sizes of that of the whole batch.</param>
/// <param name="MicroBatches">Number of micro-batches.</param>
public sealed record EntryPlan(string Name, EquatableArray<InputPlan> Inputs, EquatableArray<PhasePlan> Phases, EquatableArray<MethodPlan> Methods, OperandPlan? Result, EquatableArray<long> ResultDims, int MicroBatches)
{
    /// <summary>What arrives and goes, in the order of the messages.</summary>
    public EquatableArray<BoundaryPlan> Boundaries { get; init; }

    /// <summary>Micro-batches that a pipeline has under way in one run of its order: one where the result of each is read before the next.</summary>
    /// <param name="entry">Name of the entry.</param>
    /// <param name="microBatches">Its micro-batches.</param>
    public static int MicroBatchesOfARun(string entry, int microBatches) => entry == "Infer" ? 1 : microBatches;

    /// <summary>Loads and calls of all phases.</summary>
    public IEnumerable<ProgramStatement> Main => Phases.SelectMany(p => p.Main);

    /// <summary>Collectives of a step's micro-batches: the method that starts each, and how often.</summary>
    public IEnumerable<(string Where, ProgramStatement.Start Start, long Times)> Collectives => CollectivesWhere((_, _) => 0);

    /// <summary>The same where actions find layers in their rings.</summary>
    /// <param name="found">For a phase, and what tells it: in how many micro-batches.</param>
    public IEnumerable<(string Where, ProgramStatement.Start Start, long Times)> CollectivesWhere(Func<Phase, RingFind, int> found) => Phases.SelectMany(p => p.Opening.Concat(p.Main).SelectMany(s => Started(p.Phase, s, by => found(p.Phase, by))));

    /// <summary>Whether windows live from one action to the next.</summary>
    public bool Spans => Phases.Any(p => p.Opening.Count > 0 || p.Closing.Count > 0);

    private IEnumerable<(string, ProgramStatement.Start, long)> Started(Phase phase, ProgramStatement statement, Func<RingFind, int> found)
    {
        if (statement is not ProgramStatement.Call call)
        {
            return statement is ProgramStatement.Start own ? new[] { (phase == Phase.Whole ? Name : Name + phase, own, own.Times(MicroBatches, 0, found)) } : Array.Empty<(string, ProgramStatement.Start, long)>();
        }

        MethodPlan method = Methods[call.Method];
        return method.Statements.OfType<ProgramStatement.Start>().Select(s => (method.Name, s, s.Times(MicroBatches, call.Layers, found)));
    }
}

/// <summary>An action of a stage.</summary>
/// <param name="Phase">Which.</param>
/// <param name="Main">Loads and calls.</param>
public sealed record PhasePlan(Phase Phase, EquatableArray<ProgramStatement> Main)
{
    /// <summary>What is started beside the rank's action before: parameters that this one reads first.</summary>
    public EquatableArray<ProgramStatement> Opening { get; init; }

    /// <summary>What is awaited beside the rank's next action: the last sums of gradients.</summary>
    public EquatableArray<ProgramStatement> Closing { get; init; }
}

/// <summary>A tensor that passes between a stage and a neighbour.</summary>
/// <param name="Operand">Where it lies.</param>
/// <param name="Arrives">Whether it comes or goes.</param>
/// <param name="IsGradient">Whether it travels backward.</param>
/// <param name="Bytes">Size.</param>
/// <param name="Comment">Name, shape and placement.</param>
public sealed record BoundaryPlan(OperandPlan Operand, bool Arrives, bool IsGradient, long Bytes, string Comment);
