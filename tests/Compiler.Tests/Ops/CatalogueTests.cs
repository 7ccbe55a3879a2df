using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>The catalogue names every op and attribute, and its rules are well formed.</summary>
public sealed class CatalogueTests
{
    public static TheoryData<string> Labels => OpCases.Labels;

    [Fact]
    public void Every_op_of_the_logical_graph_has_an_entry()
    {
        IEnumerable<string> ops = typeof(Op).Assembly.GetTypes().Where(t => t.IsSubclassOf(typeof(Op)) && !t.IsAbstract && !t.IsSubclassOf(typeof(LocalOp))).Select(t => t.Name);
        Assert.Empty(ops.Except(OpCatalogue.Entries.Select(e => e.Sample.GetType().Name)));
        Assert.Empty(Functions.Names.Except(OpCatalogue.Entries.Select(e => e.Name)));
        Assert.Equal(OpCatalogue.Entries.Length, OpCatalogue.Entries.Select(e => e.Name).Distinct().Count());
    }

    [Fact]
    public void Attributes_are_those_of_the_record()
    {
        foreach (OpEntry entry in OpCatalogue.Entries.Where(e => e.Sample is not ElementwiseOp))
        {
            Assert.Equal(OpAttributes.Of(entry.Sample).Select(p => p.Name), entry.Attributes.Select(a => a.Name));
        }
    }

    [Fact]
    public void Find_is_by_name()
    {
        Assert.IsType<MatMulOp>(OpCatalogue.Find("MatMul")!.Sample);
        Assert.Null(OpCatalogue.Find("NoSuchOp"));
    }

    [Theory]
    [MemberData(nameof(Labels))]
    public void Factors_fit_the_dims_that_carry_them(string label)
    {
        OpCase test = OpCases.Find(label);
        FactorRule rule = test.Op.Factors(test.Types);
        Assert.Equal(test.Types.Inputs.Count, rule.Inputs.Count);
        Assert.Equal(test.Types.Outputs.Count, rule.Outputs.Count);
        foreach ((EquatableArray<int> dims, TensorType type) in rule.Inputs.Zip(test.Types.Inputs).Concat(rule.Outputs.Zip(test.Types.Outputs)))
        {
            Assert.Equal(type.Rank, dims.Count);
            for (int dim = 0; dim < dims.Count; dim++)
            {
                Assert.InRange(dims[dim], -1, rule.Factors.Count - 1);
                if (dims[dim] >= 0)
                {
                    Assert.True(type.Dims[dim] % rule.Factors[dims[dim]].Size == 0, $"{label}: dim {dim} of {type} carries {rule.Factors[dims[dim]]}");
                }
            }

            Assert.Equal(dims.Count(d => d >= 0), dims.Where(d => d >= 0).Distinct().Count());
        }

        foreach (LinearGroup group in rule.Linear)
        {
            Assert.All(group.Inputs, i => Assert.InRange(i, 0, test.Types.Inputs.Count - 1));
            Assert.All(group.PartialOutputs, o => Assert.InRange(o, 0, test.Types.Outputs.Count - 1));
        }
    }

    [Theory]
    [MemberData(nameof(Labels))]
    public void Work_is_counted_and_shrinks_with_the_batch(string label)
    {
        OpCase test = OpCases.Find(label);
        long whole = test.Op.Flops(test.Types);
        Assert.True(whole >= 0);
        if (!test.Op.IsHeavy)
        {
            return;
        }

        // Half of the first split factor is half of the work.
        Signature split = SignatureRules.Split(test.Op.Factors(test.Types), 0);
        var half = new OperandTypes(
            test.Types.Inputs.Select((t, i) => Tests.Sharding.Simulator.Local(t, [(2, split.Inputs[i])])!).ToEquatable(),
            test.Types.Outputs.Select((t, o) => Tests.Sharding.Simulator.Local(t, [(2, split.Outputs[o])])!).ToEquatable());
        Assert.Equal(whole, 2 * test.Op.Flops(half));
    }
}
