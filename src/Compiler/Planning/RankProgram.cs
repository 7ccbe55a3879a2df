using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Which slot of a stack a statement means.</summary>
public enum SlotIndex
{
    /// <summary>The buffer is no stack.</summary>
    None,

    /// <summary>The slot of the current layer.</summary>
    Layer,

    /// <summary>The slot after the current layer's: what a layer leaves for the next.</summary>
    NextLayer,

    /// <summary>The slot before the current layer's.</summary>
    PreviousLayer,

    /// <summary>The slot of the highest layer: number of layers − 1.</summary>
    FinalLayer,

    /// <summary>Slot 0: where a loop starts.</summary>
    First,

    /// <summary>The slot that a loop's last iteration has written: number of layers.</summary>
    Last,

    /// <summary>Backward: counts from the far end; iteration = layers − 1 − layer reads this slot.</summary>
    Iteration,

    /// <summary>Backward: the slot that the next iteration reads.</summary>
    NextIteration,
}

/// <summary>A buffer, or a part of it, as an argument.</summary>
/// <param name="Buffer">Id of the buffer.</param>
/// <param name="Slot">Which slot of a stack.</param>
/// <param name="Start">First element within the slot, where the part depends on the rank or micro-batch; null for the whole slot.</param>
/// <param name="Length">Elements.</param>
/// <param name="Layers">Number of layers of the stack that the slot belongs to; 0 for none.</param>
public sealed record OperandPlan(int Buffer, SlotIndex Slot, Offset? Start, long Length, int Layers);

/// <summary>Micro-batches of a step in which a statement is done.</summary>
public enum MicroBatchGuard
{
    /// <summary>In all.</summary>
    All,

    /// <summary>In the first alone.</summary>
    First,

    /// <summary>In all but the first.</summary>
    NotFirst,

    /// <summary>In the last alone.</summary>
    Last,
}

/// <summary>One line of a program.</summary>
public abstract record ProgramStatement
{
    /// <summary>Condition under which it is done, within a layer; null for always.</summary>
    public LayerGuard? Guard { get; init; }

    /// <summary>Micro-batches in which it is done; others than all only where one program runs them one after another.</summary>
    public MicroBatchGuard On { get; init; }

    /// <summary>How often it is done in so many micro-batches, in a loop over layers or in none.</summary>
    public long Times(int microBatches, int layers = 0)
    {
        int first = IsIn(0, microBatches) ? 1 : 0, later = On switch { MicroBatchGuard.First => 0, MicroBatchGuard.Last => 1 - first, _ => microBatches - 1 };
        return (long)first * Of(true) + (long)later * Of(false);

        int Of(bool isFirst) => Guard?.Count(isFirst) ?? Math.Max(1, layers);
    }

    /// <summary>Whether it is done in one of so many micro-batches.</summary>
    public bool IsIn(int microBatch, int microBatches) => On switch { MicroBatchGuard.First => microBatch == 0, MicroBatchGuard.NotFirst => microBatch > 0, MicroBatchGuard.Last => microBatch == microBatches - 1, _ => true };

    /// <summary>Runs a kernel on the compute lane.</summary>
    /// <param name="Kernel">Position in the program's kernels.</param>
    /// <param name="Operands">One for each tensor of the kernel.</param>
    /// <param name="Comment">Result, shape and placement.</param>
    /// <param name="OnlyFirstMicroBatch">Runs for micro-batch 0 only (a gradient that is the same for all).</param>
    public sealed record Run(int Kernel, EquatableArray<OperandPlan> Operands, string Comment, bool OnlyFirstMicroBatch) : ProgramStatement
    {
        /// <summary>Whether it makes again what the forward pass has made.</summary>
        public bool IsAgain { get; init; }
    }

    /// <summary>Starts a collective on a group's lane.</summary>
    /// <param name="Ticket">Name of the ticket variable, unique in its method.</param>
    /// <param name="Axes">Axes of the group.</param>
    /// <param name="Source">Source, or the buffer of an in-place one.</param>
    /// <param name="Target">Target; null for in-place ones.</param>
    /// <param name="Bytes">Bytes that one rank sends.</param>
    /// <param name="Reason">What it is for: placement change and value.</param>
    public sealed record Start(string Ticket, CollectiveKind Kind, EquatableArray<string> Axes, OperandPlan Source, OperandPlan? Target, long Bytes, string Reason) : ProgramStatement
    {
        /// <summary>Where its wait is in another layer or method: what it is under way beside, for the reader. Its ticket is a field of the stage then, and at most one of that name is under way.</summary>
        public string? Beside { get; init; }

        /// <summary>Kernels that run until its wait in the same method, for the reader; empty for none.</summary>
        public string Work { get; init; } = "";
    }

    /// <summary>Starts the sum of a bucket of gradients over ranks, in the last micro-batch: from there on it is under way beside what follows, and the end of the step waits for it.</summary>
    /// <param name="Group">Position of the group of parameters.</param>
    public sealed record StartGradients(int Group) : ProgramStatement;

    /// <summary>Waits for a collective.</summary>
    public sealed record Wait(string Ticket, EquatableArray<string> Axes) : ProgramStatement;

    /// <summary>Calls a method once, or once per layer.</summary>
    /// <param name="Method">Position in the entry's methods.</param>
    /// <param name="Layers">0 for once.</param>
    /// <param name="Reversed">From the last layer to the first.</param>
    public sealed record Call(int Method, int Layers, bool Reversed) : ProgramStatement;

    /// <summary>Zeroes a buffer that is not wholly this rank's (a padded or kept-first partial value).</summary>
    /// <param name="UnlessFirstOf">Only on ranks whose coordinate on this axis is not 0 (or micro-batches other than 0 where empty).</param>
    public sealed record Zero(OperandPlan Operand, string? UnlessFirstOf, string Comment) : ProgramStatement;

    /// <summary>Copies a model input's rows of this rank and micro-batch into the arena.</summary>
    /// <param name="Input">Position in the entry's inputs.</param>
    public sealed record Load(int Input, OperandPlan Operand) : ProgramStatement;

    /// <summary>Adds factor × a scalar to the step's loss sum (or weight).</summary>
    /// <param name="IntoWeight">Whether it is added to the weight.</param>
    /// <param name="UnlessFirstOf">Axes whose first rank alone counts it: the value is the same on all of them. An empty name stands for the micro-batches.</param>
    /// <param name="ReduceAxes">Axes along which it is a sum of terms.</param>
    public sealed record AddLoss(OperandPlan Operand, double Factor, bool IntoWeight, EquatableArray<string> UnlessFirstOf, EquatableArray<string> ReduceAxes) : ProgramStatement;

    /// <summary>Sets elements to zero.</summary>
    public sealed record Clear(OperandPlan Operand, string Comment) : ProgramStatement;

    /// <summary>Memory that nothing needs from here on: where a debugging build fills it.</summary>
    /// <param name="Operand">The memory, or a slot of it.</param>
    /// <param name="Slots">All of that many slots; 0 for the operand alone.</param>
    public sealed record Dies(OperandPlan Operand, int Slots) : ProgramStatement;

    /// <summary>Adds a contribution to an accumulated gradient: overwrites at micro-batch 0, adds afterwards.</summary>
    public sealed record Accumulate(OperandPlan Gradient, OperandPlan Contribution, bool OnlyFirstMicroBatch, string Comment) : ProgramStatement
    {
        /// <summary>Whether the contribution is that of the micro-batch before.</summary>
        public bool IsOfPrevious { get; init; }
    }
}

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
    public IEnumerable<(string Where, ProgramStatement.Start Start, long Times)> Collectives => Phases.SelectMany(p => p.Main.SelectMany(s => Started(p.Phase, s)));

    private IEnumerable<(string, ProgramStatement.Start, long)> Started(Phase phase, ProgramStatement statement)
    {
        if (statement is not ProgramStatement.Call call)
        {
            return statement is ProgramStatement.Start own ? new[] { (phase == Phase.Whole ? Name : Name + phase, own, own.Times(MicroBatches)) } : Array.Empty<(string, ProgramStatement.Start, long)>();
        }

        MethodPlan method = Methods[call.Method];
        return method.Statements.OfType<ProgramStatement.Start>().Select(s => (method.Name, s, s.Times(MicroBatches, call.Layers)));
    }
}

/// <summary>An action of a stage.</summary>
/// <param name="Phase">Which.</param>
/// <param name="Main">Loads and calls.</param>
public sealed record PhasePlan(Phase Phase, EquatableArray<ProgramStatement> Main);

/// <summary>A tensor that passes between a stage and a neighbour.</summary>
/// <param name="Operand">Where it lies.</param>
/// <param name="Arrives">Whether it comes or goes.</param>
/// <param name="IsGradient">Whether it travels backward.</param>
/// <param name="Bytes">Size.</param>
/// <param name="Comment">Name, shape and placement.</param>
public sealed record BoundaryPlan(OperandPlan Operand, bool Arrives, bool IsGradient, long Bytes, string Comment);

/// <summary>A state that the optimizer keeps for a parameter.</summary>
/// <param name="Name">Its name in checkpoints, a contract: <c>firstMoment</c>, <c>secondMoment</c>, <c>velocity</c>.</param>
/// <param name="Buffer">Buffer of it.</param>
public sealed record StatePlan(string Name, int Buffer);

/// <summary>A parameter on a rank.</summary>
/// <param name="Path">Logical path; <c>{0}</c> for the layer.</param>
/// <param name="Layers">0 outside of stacks.</param>
/// <param name="Value">Buffer of the parameter; of its group, where that holds shards of parameters.</param>
/// <param name="Gradient">Buffer of its gradient, laid out alike; of its group, where that holds shards of gradients.</param>
/// <param name="States">What the optimizer keeps for it, laid out alike, in the order of the groups' states.</param>
/// <param name="Placements">Axis and placement, in order: <c>tp: S(1)</c>.</param>
/// <param name="Stack">Stack whose layers own one each; −1 outside of stacks.</param>
/// <param name="Group">Position of its group.</param>
/// <param name="At">First element of it within its group, or within each bucket of it.</param>
/// <param name="LayerStep">Elements from one layer's to the next within a bucket; 0 where layers have a bucket each.</param>
public sealed record ParameterPlan(
    string Path, int Layers, int Value, int Gradient, EquatableArray<StatePlan> States, EquatableArray<long> Logical, EquatableArray<long> Local, EquatableArray<Offset> Start, Initializer Init, bool NoDecay,
    EquatableArray<(string Axis, Placement Placement)> Placements, int Stack, int Group, long At, long LayerStep);

/// <summary>Neighbouring parameters that are reduced, measured and updated together: they lie one after another in the parameter region, and
/// their gradients and optimizer states lie alike, or are shards of what would.</summary>
/// <param name="Name">For the reader: <c>decayed, split over tp</c>.</param>
/// <param name="Parameters">What a rank holds of the parameters, or of a bucket of them.</param>
/// <param name="Updated">What of it the rank updates: its shard, or all.</param>
/// <param name="Gradients">Gradients of that, once they are reduced.</param>
/// <param name="States">States of that: 2 for AdamW, 1 for momentum, 0 for SGD.</param>
/// <param name="Reductions">Sums over ranks that are made once per step.</param>
/// <param name="NormAxes">Axes that split the parameters, or cut them into shards: their squares are summed over these.</param>
/// <param name="NoDecay">Whether weight decay leaves them alone.</param>
/// <param name="Tied">Path of the one parameter, where several stages hold it; else empty.</param>
/// <param name="IsCopy">Whether an earlier stage holds it too: its squares are counted there.</param>
/// <param name="Elements">Elements of the parameters on a rank, without padding, before shards are cut.</param>
/// <param name="Shards">How they are cut into shards; null where every rank keeps all.</param>
public sealed record ParameterGroup(
    string Name, OperandPlan Parameters, OperandPlan Updated, OperandPlan Gradients, EquatableArray<OperandPlan> States, EquatableArray<ReductionPlan> Reductions, EquatableArray<string> NormAxes, bool NoDecay, string Tied, bool IsCopy,
    long Elements, ShardPlan? Shards)
{
    /// <summary>Buckets, each with its own collectives: one for each layer of a stack, or one.</summary>
    public int Buckets { get; init; } = 1;

    /// <summary>Whether the first of <see cref="Reductions"/> starts where backward has completed a bucket in the last micro-batch, and is waited for at the end of the step.</summary>
    public bool StartsInBackward { get; init; }

    /// <summary>Elements that belong to no tensor, before shards are cut: between tensors, and at the ends of buckets.</summary>
    public long Padding => (Shards is { } shards ? shards.Length * shards.Buckets : ParameterElements) - Elements;

    /// <summary>Elements of parameters that a rank holds, padding included.</summary>
    public long ParameterElements => Parameters.Length * Buckets;

    /// <summary>Elements of gradients that a rank holds, padding included.</summary>
    public long GradientElements => (Shards is { Stage: 1 } ? Shards.Length : Gradients.Length) * Buckets;

    /// <summary>Elements of all states that a rank holds, padding included.</summary>
    public long StateElements => States.Sum(s => s.Length) * Buckets;
}

/// <summary>How much of the space Step is live at one position of an entry.</summary>
/// <param name="Entry">Train, Evaluate or Infer.</param>
/// <param name="Phase">Action of the stage.</param>
/// <param name="Where">Method; empty where none is printed.</param>
/// <param name="Bytes">Live bytes.</param>
public sealed record ProfilePoint(string Entry, Phase Phase, string Where, long Bytes);

/// <summary>How much of a rank's arena is live at one point of a training step.</summary>
/// <param name="Where">Method, or action of a pipeline; with its name before it where it is not of training: <c>Infer 7F0</c>.</param>
/// <param name="Bytes">Live bytes, parameters, gradients and optimizer state included.</param>
public sealed record TimelinePoint(string Where, long Bytes);

/// <summary>The program of a stage: its memory by space, and the methods of its entries. Equal stages share one.</summary>
/// <param name="Name">Name of its class: Stage0.</param>
/// <param name="Buffers">Its buffers by id.</param>
/// <param name="Entries">Train first, then Evaluate, then Infer where the model has a Forward.</param>
/// <param name="Parameters">Its parameters, in order of their declaration.</param>
/// <param name="Groups">Parameters that are reduced, measured and updated together.</param>
/// <param name="StateBytes">Size of the space State.</param>
/// <param name="StepBytes">Size that it needs of the space Step: the largest of its entries and actions.</param>
/// <param name="StepLowerBound">Largest sum of live bytes of that space: no layout is smaller.</param>
/// <param name="Blocks">For each entry the bytes of one micro-batch in each space that has a block for each.</param>
/// <param name="Stacks">Paths of the stacks of which it runs a part that does not begin with layer 0 on every stage, with their ids.</param>
public sealed record StageProgram(
    string Name,
    EquatableArray<BufferPlan> Buffers,
    EquatableArray<EntryPlan> Entries,
    EquatableArray<ParameterPlan> Parameters,
    EquatableArray<ParameterGroup> Groups,
    long StateBytes,
    long StepBytes,
    long StepLowerBound,
    EquatableArray<(string Entry, MemorySpace Space, long Bytes)> Blocks,
    EquatableArray<(int Id, string Path)> Stacks)
{
    /// <summary>Live bytes of the space Step along its entries.</summary>
    public EquatableArray<ProfilePoint> Profile { get; init; }

    /// <summary>For each entry and action the bytes that it needs of the space Step.</summary>
    public EquatableArray<(string Entry, Phase Phase, long Bytes)> Steps { get; init; }

    /// <summary>Bytes of one micro-batch of an entry in a space.</summary>
    public long BlockOf(string entry, MemorySpace space) => Blocks.FirstOrDefault(b => b.Entry == entry && b.Space == space).Bytes;
}

/// <summary>A space of a stage that has one block for each micro-batch that is under way.</summary>
/// <param name="Entry">Entry whose micro-batches they are.</param>
/// <param name="Space">Which.</param>
/// <param name="BlockBytes">Size of a block.</param>
/// <param name="Offsets">Bytes from the start of the arena to each block. Blocks that are never in use at the same time may share memory.</param>
public sealed record SlotPlan(string Entry, MemorySpace Space, long BlockBytes, EquatableArray<long> Offsets)
{
    /// <summary>For each micro-batch its block; empty where all have the first.</summary>
    public EquatableArray<int> SlotOf { get; init; }

    /// <summary>Number of blocks.</summary>
    public int Slots => Offsets.Count;
}

/// <summary>A stage in the arena of its rank.</summary>
/// <param name="Stage">Number of the stage, from 0.</param>
/// <param name="Program">Position of its program in <see cref="RankProgram.Stages"/>.</param>
/// <param name="StateOffset">Where its space State starts, bytes from the start of the arena.</param>
/// <param name="Spaces">Its spaces with a block for each micro-batch.</param>
/// <param name="FirstLayers">For each stack of its program: number of its first layer here.</param>
/// <param name="Previous">Pipeline coordinate of the stage before; −1 for none.</param>
/// <param name="Next">Pipeline coordinate of the stage after; −1 for none.</param>
public sealed record ChunkPlan(int Stage, int Program, long StateOffset, EquatableArray<SlotPlan> Spaces, EquatableArray<int> FirstLayers, int Previous, int Next)
{
    /// <summary>For each entry and action: where what lives within it lies, bytes from the start of the arena.</summary>
    public EquatableArray<(string Entry, Phase Phase, long Offset)> Steps { get; init; }
}

/// <summary>A parameter that several stages hold: a copy on each, their gradients summed once per step.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Stages">The stages.</param>
/// <param name="Ranks">Pipeline coordinates that hold a copy, rising.</param>
/// <param name="Bytes">Bytes of one rank's copy.</param>
public sealed record TiedPlan(string Path, EquatableArray<int> Stages, EquatableArray<int> Ranks, long Bytes);

/// <summary>The pipeline of a mesh.</summary>
/// <param name="Axis">Its axis.</param>
/// <param name="Schedule">Name of the schedule.</param>
/// <param name="Ranks">Ranks along the axis.</param>
/// <param name="Stages">Number of stages.</param>
/// <param name="RankOfStage">Pipeline coordinate of each stage.</param>
/// <param name="Layers">For each stack, the layers on each stage.</param>
/// <param name="Tied">Parameters on several stages.</param>
/// <param name="ResultStage">Stage that makes the inference result; −1 for none.</param>
/// <param name="ResultBytes">Size of the result of a micro-batch.</param>
public sealed record PipelinePlan(string Axis, string Schedule, int Ranks, int Stages, EquatableArray<int> RankOfStage, EquatableArray<(string Path, EquatableArray<int> Layers)> Layers, EquatableArray<TiedPlan> Tied, int ResultStage, long ResultBytes);

/// <summary>The arena of the ranks with one pipeline coordinate.</summary>
/// <param name="Chunks">Its stages, in order.</param>
/// <param name="ScalarOffset">Where the step's scalars for collectives lie.</param>
/// <param name="ScalarBytes">Their size.</param>
/// <param name="ScratchOffset">Where the kernels' scratch lies.</param>
/// <param name="StepOffset">Where the memory of an entry starts: the space Step, and the blocks of the micro-batches in a pipeline. Entries share it.</param>
/// <param name="StepBytes">Its size.</param>
/// <param name="ArenaBytes">Size of the arena.</param>
/// <param name="Actions">For each entry, what the rank does, in the notation of the schedules: <c>0RECV_F1 0F1 0SEND_F1</c>. Empty for a model of one stage.</param>
public sealed record RankPlan(EquatableArray<ChunkPlan> Chunks, long ScalarOffset, long ScalarBytes, long ScratchOffset, long StepOffset, long StepBytes, long ArenaBytes, EquatableArray<(string Entry, EquatableArray<string> Actions)> Actions)
{
    /// <summary>Largest sum of live bytes at any point of any entry: no layout of these blocks is smaller.</summary>
    public long LowerBound { get; init; }

    /// <summary>Bytes at the start of the arena that are kept from step to step.</summary>
    public long StateBytes { get; init; }

    /// <summary>Live bytes along a training step; then along each other entry of which more is live at one time.</summary>
    public EquatableArray<TimelinePoint> Timeline { get; init; }

    /// <summary>For each entry the bytes that it needs from <see cref="StepOffset"/> on; the largest is <see cref="StepBytes"/>.</summary>
    public EquatableArray<(string Entry, long Bytes)> Entries { get; init; }

    /// <summary>Size that the arena would have for one entry alone.</summary>
    public long BytesFor(string entry) => StepOffset + Entries.Where(e => e.Entry == entry).Select(e => e.Bytes).DefaultIfEmpty(0).Max();
}

/// <summary>The programs of a mesh: ranks with one pipeline coordinate run the same one, and differ in their other coordinates.</summary>
/// <param name="Model">Full name of the model class.</param>
/// <param name="Namespace">Namespace of the model; empty for the global one.</param>
/// <param name="NestedName">Name of the nested class: OnLab.</param>
/// <param name="MeshName">Short name of the mesh.</param>
/// <param name="Axes">All axes of the mesh with sizes, outermost first.</param>
/// <param name="Optimizer">AdamW, Momentum or Sgd.</param>
/// <param name="MicroBatches">Micro-batches of a training step.</param>
/// <param name="Kernels">Kernels of all stages.</param>
/// <param name="Stages">Distinct programs of stages.</param>
/// <param name="Ranks">Arenas, by pipeline coordinate.</param>
/// <param name="ScratchBytesPerThread">Scratch of one thread.</param>
/// <param name="MaxThreads">Threads that scratch is planned for.</param>
/// <param name="Pipeline">The pipeline; null for a model of one stage.</param>
public sealed record RankProgram(
    string Model,
    string Namespace,
    string NestedName,
    string MeshName,
    EquatableArray<(string Name, int Size)> Axes,
    string Optimizer,
    int MicroBatches,
    EquatableArray<KernelPlan> Kernels,
    EquatableArray<StageProgram> Stages,
    EquatableArray<RankPlan> Ranks,
    long ScratchBytesPerThread,
    int MaxThreads,
    PipelinePlan? Pipeline)
{
    /// <summary>Element types of a step: Float32, or one that ranks on accelerators run.</summary>
    public string Precision { get; init; } = "Float32";

    /// <summary>Whether the host has kernels for it; accelerators have them for every precision.</summary>
    public bool RunsOnHost => Precision == Planner.Single;

    /// <summary>Whether backward starts from a scale of the loss, which the optimizer divides by.</summary>
    public bool ScalesLoss => Precision == Planner.Scaled;

    /// <summary>Element type of parameters as kernels read them.</summary>
    public DType ParameterElement => ModelState.Elements(Optimizer, Precision)[0];

    /// <summary>Element type in which gradients of parameters are summed.</summary>
    public DType GradientElement => ModelState.Elements(Optimizer, Precision)[1];

    /// <summary>Whether memory is filled with NaN where it dies, when the world asks for that: for debugging this compiler.</summary>
    public bool PoisonsMemory { get; init; }

    /// <summary>What it asks of its device.</summary>
    public PlanForecast Forecast { get; init; } = new("", long.MaxValue, 0, 0, 0, 0, 0, 0);

    /// <summary>The order of a training step's micro-batches; null for a model of one stage.</summary>
    public LoweredPipeline? Order { get; init; }

    /// <summary>Size of the largest arena.</summary>
    public long ArenaBytes => Ranks.Max(r => r.ArenaBytes);

    /// <summary>Size that the largest arena would have for training alone.</summary>
    public long TrainingBytes => Ranks.Max(r => r.BytesFor("Train"));

    /// <summary>Most tensors that pass between two neighbouring stages in one direction.</summary>
    public int PassingTensors => Stages.SelectMany(s => s.Entries).SelectMany(e => e.Boundaries.GroupBy(b => (b.Arrives, b.IsGradient))).Select(g => g.Count()).DefaultIfEmpty(1).Max();

    /// <summary>Distinct sets of axes that losses of an entry are summed over; never empty, the same for all stages.</summary>
    public EquatableArray<EquatableArray<string>> LossSets(string entry) => LossSetsOf(Stages, entry);

    /// <summary>Distinct sets of axes that split parameters, whose squares are summed over them.</summary>
    public EquatableArray<EquatableArray<string>> NormSets => NormSetsOf(Stages);

    internal static EquatableArray<EquatableArray<string>> LossSetsOf(IEnumerable<StageProgram> stages, string entry)
    {
        var sets = stages.SelectMany(s => s.Entries).Where(e => e.Name == entry).SelectMany(e => e.Methods).SelectMany(m => m.Statements).OfType<ProgramStatement.AddLoss>().Select(l => l.ReduceAxes).Distinct().ToEquatable();
        return sets.Count == 0 ? EquatableArray.Of(EquatableArray<string>.Empty) : sets;
    }

    internal static EquatableArray<EquatableArray<string>> NormSetsOf(IEnumerable<StageProgram> stages) => stages.SelectMany(s => s.Groups).Select(g => g.NormAxes).Distinct().ToEquatable();
}
