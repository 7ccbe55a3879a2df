using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Fusion;

/// <summary>The tensor behind a kernel's argument, as the kernel's text needs it.</summary>
/// <param name="Name">Name of the parameter in the kernel's method; unique within the kernel.</param>
/// <param name="Element">Element type.</param>
/// <param name="Local">Local sizes.</param>
/// <param name="Logical">Logical sizes.</param>
/// <param name="Start">Logical position of the first local element, for each dim.</param>
/// <param name="IsOutput">Whether the kernel writes it.</param>
public sealed record KernelTensor(string Name, DType Element, EquatableArray<long> Local, EquatableArray<long> Logical, EquatableArray<Offset> Start, bool IsOutput);

/// <summary>One argument of a fused body.</summary>
/// <param name="Tensor">Position in <see cref="KernelPlan.Tensors"/>; −1 for the tile of a product that the body is the epilogue of.</param>
/// <param name="Strides">Elements to step for each dim of the body; 0 where the argument is broadcast. The last is 1 or 0.</param>
public sealed record FusedInput(int Tensor, EquatableArray<long> Strides);

/// <summary>Elementwise work on one index space: what an elementwise kernel, or the epilogue of a product, does for each element.</summary>
/// <param name="Dims">Sizes of the index space, outermost first; dims along which all arguments are contiguous are already merged.</param>
/// <param name="Inputs">Arguments.</param>
/// <param name="Steps">Values in order: <c>Input(i)</c> for i below the number of inputs is that argument, above it the step i − inputs.</param>
/// <param name="StepNames">A name for each step.</param>
/// <param name="Outputs">For each result: the tensor it goes to and the value that it is: same numbering as <c>Input</c>. Results are contiguous over Dims. Tensor −1: back to the product's own tile.</param>
public sealed record FusedBody(
    EquatableArray<long> Dims,
    EquatableArray<FusedInput> Inputs,
    EquatableArray<ScalarExpression> Steps,
    EquatableArray<string> StepNames,
    EquatableArray<(int Tensor, int Value)> Outputs);

/// <summary>A kernel: one emitted method, used by every statement that needs the same work on the same sizes.</summary>
/// <param name="Name">C# identifier in PascalCase, unique: <c>FeedForwardUpGelu</c>.</param>
/// <param name="Tensors">Parameters of the method, inputs first, then outputs (an operand that is both stands once, as output).</param>
/// <param name="Ops">What was fused: names of the ops, for the doc comment.</param>
/// <param name="Sources">Quoted expressions that it computes.</param>
/// <param name="Flops">Floating-point operations.</param>
/// <param name="BytesMoved">Bytes read and written once.</param>
/// <param name="BytesSaved">Bytes that fusion keeps out of memory.</param>
/// <param name="UsesMicroBatch">Whether the method takes the micro-batch.</param>
/// <param name="UsesLayer">Whether the method takes the layer.</param>
public abstract record KernelPlan(string Name, EquatableArray<KernelTensor> Tensors, EquatableArray<string> Ops, EquatableArray<string> Sources, long Flops, long BytesMoved, long BytesSaved, bool UsesMicroBatch, bool UsesLayer);

/// <summary>An elementwise kernel.</summary>
public sealed record ElementwiseKernel(string Name, EquatableArray<KernelTensor> Tensors, FusedBody Body, EquatableArray<string> Ops, EquatableArray<string> Sources, long Flops, long BytesMoved, long BytesSaved)
    : KernelPlan(Name, Tensors, Ops, Sources, Flops, BytesMoved, BytesSaved, false, false);

/// <summary>A matrix product C = A·B over row-major operands, with an optional epilogue.</summary>
/// <param name="A">Position of A in Tensors.</param>
/// <param name="B">Position of B.</param>
/// <param name="C">Position of C.</param>
/// <param name="Batch">Number of products; 1 for a plain one. Operands of a batch lie one after another.</param>
/// <param name="TransposeA">A is stored [k, m].</param>
/// <param name="TransposeB">B is stored [n, k].</param>
/// <param name="AccumulatesMicroBatches">C += from the second micro-batch on (a gradient that is accumulated); the method then takes the micro-batch.</param>
/// <param name="Epilogue">Body over [m, n] (only with batch 1); null for none.</param>
public sealed record GemmKernel(string Name, EquatableArray<KernelTensor> Tensors, int A, int B, int C, long Batch, long M, long N, long K, bool TransposeA, bool TransposeB, bool AccumulatesMicroBatches, FusedBody? Epilogue, EquatableArray<string> Ops, EquatableArray<string> Sources, long Flops, long BytesMoved, long BytesSaved)
    : KernelPlan(Name, Tensors, Ops, Sources, Flops, BytesMoved, BytesSaved, AccumulatesMicroBatches, false);

/// <summary>A kernel that is one block of the runtime, called with constant sizes: norms, softmax, attention, embedding, cross-entropy, movement of data.
/// Its text follows from the op, the operand types and the starts.</summary>
/// <param name="Op">The op; operands in its own order: first InputCount tensors, then outputs.</param>
/// <param name="Stack">Stack whose layer it takes; −1 where it takes none.</param>
public sealed record OpKernel(string Name, EquatableArray<KernelTensor> Tensors, Op Op, int InputCount, EquatableArray<string> Ops, EquatableArray<string> Sources, long Flops, long BytesMoved, bool UsesMicroBatch, bool UsesLayer, int Stack)
    : KernelPlan(Name, Tensors, Ops, Sources, Flops, BytesMoved, 0, UsesMicroBatch, UsesLayer);
