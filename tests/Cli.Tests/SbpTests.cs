using System.Text.Json;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Cli.Tests;

/// <summary><c>sbp</c>: the answers are the rules', the JSON is as documented, refusals say why.</summary>
public sealed class SbpTests
{
    public static TheoryData<string> Names => [.. OpCatalogue.Entries.Select(e => e.Name)];

    [Fact]
    public void A_product_has_its_six_signatures()
    {
        JsonElement root = Tool.Json("sbp", "MatMul", "--shapes", "4x8,8x6");
        Assert.Equal("MatMul", root.GetProperty("op").GetString());
        Assert.Equal(["B B -> B", "S(0) B -> S(0)", "B S(1) -> S(1)", "S(1) S(0) -> P", "P B -> P", "B P -> P"], Rows(root, valid: true));
        Assert.Equal(4 * 4 * 4, root.GetProperty("signatures").GetArrayLength());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Valid_ones_are_those_that_the_search_uses(string name)
    {
        OpEntry entry = OpCatalogue.Find(name)!;
        JsonElement root = Tool.Json("sbp", name);
        Assert.Equal(
            SignatureRules.Enumerate(entry.Sample, entry.Types, entry.Types, 2).Select(s => $"{string.Join(" ", s.Inputs)} -> {string.Join(" ", s.Outputs)}"),
            Rows(root, valid: true));
        foreach (JsonElement row in root.GetProperty("signatures").EnumerateArray())
        {
            Assert.Equal(["inputs", "outputs", "valid", "reason"], row.EnumerateObject().Select(p => p.Name));
            Assert.Equal(row.GetProperty("valid").GetBoolean(), row.GetProperty("reason").ValueKind == JsonValueKind.Null);
            Assert.DoesNotContain("no rule of", row.GetProperty("reason").ToString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("MatMul", "4x8,8x6", "S(1) B -> P", "k is split in input 0 and must be in input 1 too, whose dim 0 it is")]
    [InlineData("MatMul", "4x8,8x6", "S(0) S(1) -> S(0)", "input 0 is split along m and input 1 along n: an axis splits one of them")]
    [InlineData("MatMul", "5x8,8x6", "S(0) B -> S(0)", "dim 0 of input 0 is 5, which 2 does not divide")]
    [InlineData("MatMul", "4x8,8x6", "P P -> P", "MatMul is linear in input 0 alone, or input 1 alone: only these may be partial")]
    [InlineData("MatMul", "4x8,8x6", "S(0) P -> S(0)", "input 1 is partial while m is split: on one axis it must be whole there")]
    [InlineData("MatMul", "4x8,8x6", "S(0) B -> B", "from these inputs comes S(0)")]
    [InlineData("Softmax", "4x8", "S(1) -> S(1)", "factor c is blocked: every result along it needs all of it")]
    [InlineData("Gelu", "4x8", "P -> P", "Gelu takes no partial input: it is not linear, so a sum of results is not the result of the sum")]
    [InlineData("Embedding", "4,6x8", "P B -> B", "input 0 is int[4]: integers are never partial")]
    [InlineData("Add", "4x8,1x8", "S(0) S(0) -> S(0)", "dim 0 of input 1 is 1, which 2 does not divide")]
    public void Refused_ones_say_why(string op, string shapes, string signature, string reason)
    {
        JsonElement row = Tool.Json("sbp", op, "--shapes", shapes).GetProperty("signatures").EnumerateArray().Single(r => Text(r) == signature);
        Assert.Equal((false, reason), (row.GetProperty("valid").GetBoolean(), row.GetProperty("reason").GetString()));
    }

    [Fact]
    public void A_call_of_several_ops_is_answered_as_a_whole()
    {
        JsonElement root = Tool.Json("sbp", "Linear", "--shapes", "4x8,8x6,6");
        Assert.Equal(["B B B -> B", "S(0) B B -> S(0)", "B S(1) S(0) -> S(1)", "S(1) S(0) P -> P", "P B P -> P", "B P P -> P"], Rows(root, valid: true));
        JsonElement refused = root.GetProperty("signatures").EnumerateArray().Single(r => Text(r) == "S(1) S(0) B -> P");
        Assert.Equal("Linear is MatMul then Add, and no signatures of these fit together on these inputs", refused.GetProperty("reason").GetString());
        Assert.Equal(Rows(Tool.Json("sbp", "MatMul", "--shapes", "4x8,8x6"), valid: true), Rows(Tool.Json("sbp", "Linear", "--shapes", "4x8,8x6"), valid: true));
        Assert.Contains("ask for these on two axes", Tool.Refusal(ExitCodes.Usage, "sbp", "Linear", "--parts", "2,2"), StringComparison.Ordinal);
    }

    [Fact]
    public void On_two_axes_the_second_takes_what_the_first_left()
    {
        JsonElement root = Tool.Json("sbp", "Softmax", "--shapes", "4x8", "--parts", "2,4");
        Assert.Equal(["(B, B) -> (B, B)", "(B, S(0)) -> (B, S(0))", "(S(0), B) -> (S(0), B)"], Rows(root, valid: true));
        JsonElement refused = root.GetProperty("signatures").EnumerateArray().Single(r => Text(r) == "(S(0), S(0)) -> (S(0), S(0))");
        Assert.Equal("dim 0 of input 0 is 2, which 4 does not divide", refused.GetProperty("reason").GetString());
    }

    [Theory]
    [InlineData(2, "'Matmull': did you mean 'MatMul'?", "sbp", "Matmull")]
    [InlineData(2, "needs the name of an op", "sbp")]
    [InlineData(2, "'0' in shape '4x0' is no size", "sbp", "Gelu", "--shapes", "4x0")]
    [InlineData(2, "'99999999999999999999' in shape", "sbp", "Gelu", "--shapes", "4x99999999999999999999")]
    [InlineData(2, "more elements than 64 bits", "sbp", "Gelu", "--shapes", "2000000000x2000000000x2000000000")]
    [InlineData(2, "'-2' in --parts", "sbp", "Gelu", "--parts", "-2")]
    [InlineData(2, "names 3 axes", "sbp", "Gelu", "--parts", "2,2,2")]
    [InlineData(2, "did you mean 'TransposeA'", "sbp", "MatMul", "--attr", "TransposA=true")]
    [InlineData(2, "cannot be 'yes': it takes true or false", "sbp", "MatMul", "--attr", "TransposeA=yes")]
    [InlineData(2, "takes name=value", "sbp", "MatMul", "--attr", "TransposeA")]
    [InlineData(2, "gives 'transposea' twice", "sbp", "MatMul", "--attr", "TransposeA=true", "transposea=true")]
    [InlineData(2, "needs its attribute Dims: --attr Dims=1", "sbp", "Sum", "--shapes", "4x8")]
    [InlineData(2, "does not take 1 input(s)", "sbp", "MatMul", "--shapes", "4x8")]
    [InlineData(1, "dim 1 of the left is 8, dim 0 of the right is 7", "sbp", "MatMul", "--shapes", "4x8,7x6")]
    [InlineData(2, "'shardwright --help' says", "nonsense")]
    [InlineData(2, "'shardwright sbp --help' says", "sbp", "MatMul", "--nonsense")]
    public void Bad_input_ends_with_one_line(int code, string part, params string[] arguments) =>
        Assert.Contains(part, Tool.Refusal(code, arguments), StringComparison.Ordinal);

    private static IEnumerable<string> Rows(JsonElement root, bool valid) =>
        root.GetProperty("signatures").EnumerateArray().Where(r => r.GetProperty("valid").GetBoolean() == valid).Select(Text);

    private static string Text(JsonElement row) =>
        $"{string.Join(" ", row.GetProperty("inputs").EnumerateArray())} -> {string.Join(" ", row.GetProperty("outputs").EnumerateArray())}";
}
