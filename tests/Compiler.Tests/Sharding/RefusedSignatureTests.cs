namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Ops;

/// <summary>Placements that the rules do not offer give wrong results, or are listed as sound but not offered, with the reason.</summary>
public sealed class RefusedSignatureTests
{
    private const int Parts = 2;

    /// <summary>More candidates than this are sampled: all that only copy and sum, all that differ from an offered one in one or two operands, and random ones.</summary>
    private const int Most = 3000;

    public static TheoryData<string> Labels => OpCases.Labels;

    [Theory]
    [MemberData(nameof(Labels))]
    public void Candidates_that_are_not_offered_fail_or_are_listed(string label)
    {
        OpCase test = OpCases.Find(label);
        var random = new Random(23);
        Dense[] inputs = test.Values(random);
        Dense[] expected = ReferenceInterpreter.Run(test.Op, inputs, test.Types);
        var offered = SignatureRules.Enumerate(test.Op, test.Types, test.Types, Parts).Select(s => s.ToString()).ToHashSet();
        var wrong = new List<string>();
        foreach (Signature candidate in Candidates(test, random))
        {
            if (offered.Contains(candidate.ToString()) || SoundNotOffered.Reason(test.Op, candidate) is not null)
            {
                continue;
            }

            if (Simulator.Check(test, inputs, expected, [new AxisUse(Parts, candidate)], random) is null)
            {
                wrong.Add(candidate.ToString());
            }
        }

        Assert.True(wrong.Count == 0, $"{label}: sound, neither offered nor listed:\n{string.Join("\n", wrong.Distinct())}");
    }

    [Fact]
    public void Every_reason_of_the_list_is_needed()
    {
        var used = new HashSet<string>();
        foreach (OpCase test in OpCases.All)
        {
            var random = new Random(29);
            Dense[] inputs = test.Values(random);
            Dense[] expected = ReferenceInterpreter.Run(test.Op, inputs, test.Types);
            foreach (Signature candidate in Candidates(test, random))
            {
                if (SoundNotOffered.Reason(test.Op, candidate) is { } reason && !used.Contains(reason) &&
                    Simulator.Check(test, inputs, expected, [new AxisUse(Parts, candidate)], random) is null)
                {
                    used.Add(reason);
                }
            }
        }

        Assert.Empty(SoundNotOffered.Reasons.Except(used));
    }

    private static IEnumerable<Signature> Candidates(OpCase test, Random random)
    {
        Placement[][] options = test.Types.Inputs.Concat(test.Types.Outputs).Select(Options).ToArray();
        double count = options.Aggregate(1.0, (product, o) => product * o.Length);
        if (count <= Most)
        {
            return Product(options).Select(p => Of(test, p));
        }

        IEnumerable<Placement[]> linear = Product(options.Select(o => o.Where(p => !p.IsSplit).ToArray()).ToArray());
        var near = SignatureRules.Enumerate(test.Op, test.Types, test.Types, Parts).Select(s => s.Inputs.Concat(s.Outputs).ToArray())
            .SelectMany(s => Enumerable.Range(0, s.Length).SelectMany(i => Enumerable.Range(i, s.Length - i).SelectMany(j =>
                options[i].SelectMany(a => options[j].Select(b => s.Select((p, k) => k == j ? b : k == i ? a : p).ToArray())))));
        var sampled = Enumerable.Range(0, Most).Select(_ => options.Select(o => o[random.Next(o.Length)]).ToArray());
        return linear.Concat(near).Concat(sampled).Select(p => Of(test, p)).DistinctBy(s => s.ToString()).ToList();
    }

    private static Placement[] Options(TensorType type) =>
        [Placement.Broadcast, .. type.IsFloat ? [Placement.Partial] : Array.Empty<Placement>(), .. Enumerable.Range(0, type.Rank).Where(d => type.Dims[d] % Parts == 0).Select(Placement.Split)];

    private static Signature Of(OpCase test, Placement[] placements) =>
        new(placements.Take(test.Types.Inputs.Count).ToEquatable(), placements.Skip(test.Types.Inputs.Count).ToEquatable());

    private static IEnumerable<Placement[]> Product(Placement[][] options) =>
        options.Aggregate((IEnumerable<Placement[]>)[[]], (all, own) => all.SelectMany(head => own.Select(p => (Placement[])[.. head, p])));
}
