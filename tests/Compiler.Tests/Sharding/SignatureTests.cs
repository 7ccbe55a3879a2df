using Xunit.Abstractions;

namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Ops;

/// <summary>Every signature that the rules offer holds, on one axis and on two in turn.</summary>
public sealed class SignatureTests(ITestOutputHelper output)
{
    private static readonly int[] s_parts = [2, 3, 4];

    public static TheoryData<string> Labels => OpCases.Labels;

    [Theory]
    [MemberData(nameof(Labels))]
    public void Offered_signatures_hold(string label)
    {
        OpCase test = OpCases.Find(label);
        var random = new Random(17);
        Dense[] inputs = test.Values(random);
        Dense[] expected = ReferenceInterpreter.Run(test.Op, inputs, test.Types);
        int count = 0;
        foreach (AxisUse first in Offered(test, []))
        {
            Hold([first]);
            foreach (AxisUse second in Offered(test, [first]))
            {
                Hold([first, second]);
            }
        }

        output.WriteLine($"{count} placements");
        Assert.True(count >= s_parts.Length, "not even 'all broadcast' is offered");

        void Hold(AxisUse[] axes)
        {
            count++;
            string? fault = Simulator.Check(test, inputs, expected, axes, random);
            Assert.True(fault is null, $"{label}: {string.Join(" then ", axes.Select(a => $"{a.Signature} on {a.Parts}"))}: {fault}");
        }
    }

    [Theory]
    [MemberData(nameof(Labels))]
    public void A_partial_operand_is_a_float(string label)
    {
        OpCase test = OpCases.Find(label);
        foreach (AxisUse use in Offered(test, []))
        {
            Assert.DoesNotContain(use.Signature.Inputs.Zip(test.Types.Inputs).Concat(use.Signature.Outputs.Zip(test.Types.Outputs)), p => p.First.IsPartial && !p.Second.IsFloat);
        }
    }

    [Fact]
    public void Two_axes_split_one_dim_of_most_ops()
    {
        // Guards the tests above: sizes must leave room for a second axis on the dim of the first.
        var nested = OpCases.All.Where(test => Offered(test, []).Any(first => Offered(test, [first]).Any(second =>
            first.Signature.Inputs.Zip(second.Signature.Inputs).Concat(first.Signature.Outputs.Zip(second.Signature.Outputs)).Any(p => p.First.IsSplit && p.First == p.Second)))).ToList();
        Assert.True(nested.Count > OpCases.All.Length * 3 / 4, $"only {nested.Count} of {OpCases.All.Length}");
    }

    /// <summary>Signatures on the next axis, after some that are applied: as the search asks for them.</summary>
    internal static IEnumerable<AxisUse> Offered(OpCase test, IReadOnlyList<AxisUse> applied)
    {
        FactorRule rule = test.Op.Factors(test.Types);
        long[] appliedParts = Enumerable.Range(0, rule.Factors.Count).Select(f => applied.Where(a => a.Signature.Factor == f).Aggregate(1L, (product, a) => product * a.Parts)).ToArray();
        var local = new OperandTypes(
            test.Types.Inputs.Select((t, i) => Simulator.Local(t, applied.Select(a => (a.Parts, a.Signature.Inputs[i])))!).ToEquatable(),
            test.Types.Outputs.Select((t, o) => Simulator.Local(t, applied.Select(a => (a.Parts, a.Signature.Outputs[o])))!).ToEquatable());
        return s_parts.SelectMany(parts => SignatureRules.Enumerate(test.Op, test.Types, local, parts, appliedParts).Select(s => new AxisUse(parts, s)));
    }
}
