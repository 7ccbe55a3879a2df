namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using static Shardwright.Compiler.Graph.ScalarExpression;

/// <summary>Derivatives, simplification and linearity of scalar functions, on random expressions and by table.</summary>
public sealed class ScalarAlgebraTests
{
    private const int Arguments = 3;

    private static readonly ScalarExpression s_a = In(0), s_b = In(1), s_c = In(2);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Derivative_is_that_of_differences(int seed)
    {
        var random = new Random(seed);
        int compared = 0;
        for (int trial = 0; trial < 500; trial++)
        {
            ScalarExpression e = RandomExpression(random, 4);
            double[] x = Enumerable.Range(0, Arguments).Select(_ => random.NextDouble() * 4 - 2).ToArray();
            for (int input = 0; input < Arguments; input++)
            {
                double derivative = ScalarAlgebra.Evaluate(ScalarAlgebra.Differentiate(e, input), x);

                // Where two step sizes disagree, a kink or a steep slope lies between them, and differences say nothing.
                (double coarse, double fine) = (Difference(e, x, input, 2e-5), Difference(e, x, input, 1e-5));
                if (double.IsFinite(fine) && Math.Abs(coarse - fine) <= 1e-6 * (1 + Math.Abs(fine)))
                {
                    compared++;
                    Assert.True(Math.Abs(derivative - fine) <= 1e-5 * (1 + Math.Abs(fine)), $"d/dx{input} of {e} at {string.Join(", ", x)} is {derivative}, by differences {fine}");
                }
            }
        }

        Assert.True(compared > 500 * Arguments * 0.9, $"only {compared} could be compared");
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    public void Substitution_keeps_the_value(int seed)
    {
        var random = new Random(seed);
        for (int trial = 0; trial < 500; trial++)
        {
            // Rebuilding simplifies; swapping arguments and swapping the values back must cancel.
            ScalarExpression e = RandomExpression(random, 4), swapped = ScalarAlgebra.Substitute(e, i => In(Arguments - 1 - i));
            double[] x = Enumerable.Range(0, Arguments).Select(_ => random.NextDouble() * 4 - 2).ToArray();
            double expected = ScalarAlgebra.Evaluate(e, x), actual = ScalarAlgebra.Evaluate(swapped, x.Reverse().ToArray());
            Assert.True(Math.Abs(expected - actual) <= 1e-12 * (1 + Math.Abs(expected)), $"{e} is {expected}, after substitution {actual}");
            Assert.DoesNotContain(Enumerable.Range(0, Arguments), i => ScalarAlgebra.Uses(swapped, Arguments - 1 - i) && !ScalarAlgebra.Uses(e, i));
        }
    }

    [Fact]
    public void What_is_called_linear_adds_up()
    {
        var random = new Random(7);
        int linear = 0;
        for (int trial = 0; trial < 20000; trial++)
        {
            ScalarExpression e = RandomExpression(random, 2);
            ImmutableArray<int> set = Enumerable.Range(0, Arguments).Where(_ => random.Next(2) == 0).ToImmutableArray();
            if (!ScalarAlgebra.IsLinear(e, set))
            {
                continue;
            }

            linear++;
            double[] x = Numbers(random), y = Numbers(random);
            double[] own = x.Select((v, i) => set.Contains(i) ? y[i] : v).ToArray(), sum = x.Select((v, i) => set.Contains(i) ? v + y[i] : v).ToArray();
            double expected = ScalarAlgebra.Evaluate(e, x) + ScalarAlgebra.Evaluate(e, own), actual = ScalarAlgebra.Evaluate(e, sum);
            Assert.True(Math.Abs(expected - actual) <= 1e-9 * (1 + Math.Abs(expected)), $"{e} is not linear in {string.Join(", ", set)}: {actual}, not {expected}");
        }

        Assert.True(linear > 500, $"only {linear} of the random expressions were linear");
    }

    public static TheoryData<string, ScalarExpression, int[], bool> Table => new()
    {
        { "a", s_a, [0], true },
        { "a in b", s_a, [1], false },
        { "2a", s_a * 2, [0], true },
        { "-a", -s_a, [0], true },
        { "a + 1", s_a + 1, [0], false },
        { "a + b in a", s_a + s_b, [0], false },
        { "a + b", s_a + s_b, [0, 1], true },
        { "a - b", s_a - s_b, [0, 1], true },
        { "ab in a", s_a * s_b, [0], true },
        { "ab in both", s_a * s_b, [0, 1], false },
        { "a / b in a", s_a / s_b, [0], true },
        { "a / b in b", s_a / s_b, [1], false },
        { "ab + c in a", s_a * s_b + s_c, [0], false },
        { "ab + c in a, c", s_a * s_b + s_c, [0, 2], true },
        { "ab + c in b, c", s_a * s_b + s_c, [1, 2], true },
        { "ab + c in all", s_a * s_b + s_c, [0, 1, 2], false },
        { "aa", s_a * s_a, [0], false },
        { "exp a", new Unary(UnaryKind.Exp, s_a), [0], false },
        { "exp(b) a", new Unary(UnaryKind.Exp, s_b) * s_a, [0], true },
        { "|a|", new Unary(UnaryKind.Abs, s_a), [0], false },
        { "max(a, b)", new Binary(BinaryKind.Max, s_a, s_b), [0, 1], false },
        { "a < b", new Binary(BinaryKind.Less, s_a, s_b), [0, 1], false },
        { "a = 0", new Binary(BinaryKind.Equal, s_a, 0), [0], false },
        { "(a < 0) b", new Binary(BinaryKind.Less, s_a, 0) * s_b, [1], true },
        { "(a < 0) b in a", new Binary(BinaryKind.Less, s_a, 0) * s_b, [0], false },
        { "relu", Functions.Find("Relu")!.Body, [0], false },
        { "a ? b : c in b, c", new Select(s_a, s_b, s_c), [1, 2], true },
        { "a ? b : c in b", new Select(s_a, s_b, s_c), [1], false },
        { "a ? b : 0 in b", new Select(s_a, s_b, 0), [1], true },
        { "a ? b : c in a", new Select(s_a, s_b, s_c), [0], false },
        { "a ? b : c in all", new Select(s_a, s_b, s_c), [0, 1, 2], false },
        { "gradient of gelu in dy", ScalarAlgebra.Differentiate(Functions.GeluTanh.Body, 0) * s_b, [1], true },
        { "nothing", s_a, [], false },
    };

    [Theory]
    [MemberData(nameof(Table))]
    public void Linear_in(string name, ScalarExpression e, int[] inputs, bool linear) =>
        Assert.True(ScalarAlgebra.IsLinear(e, [.. inputs]) == linear, $"{name} in {string.Join(", ", inputs)}: expected {linear}");

    public static TheoryData<string, double, double> Kinks => new()
    {
        { "Relu", 0, 0 }, { "Relu", 1, 1 }, { "Relu", -1, 0 },
    };

    [Theory]
    [MemberData(nameof(Kinks))]
    public void Kinks_take_the_derivative_of_PyTorch(string name, double at, double expected) =>
        Assert.Equal(expected, ScalarAlgebra.Evaluate(ScalarAlgebra.Differentiate(Functions.Find(name)!.Body, 0), [at]));

    [Fact]
    public void A_tie_of_max_shares_its_derivative()
    {
        ScalarExpression max = Functions.Find("Maximum")!.Body;
        Assert.Equal(0.5, ScalarAlgebra.Evaluate(ScalarAlgebra.Differentiate(max, 0), [2, 2]));
        Assert.Equal(0.5, ScalarAlgebra.Evaluate(ScalarAlgebra.Differentiate(max, 1), [2, 2]));
        Assert.Equal(0, ScalarAlgebra.Evaluate(ScalarAlgebra.Differentiate(new Unary(UnaryKind.Abs, s_a), 0), [0]));
    }

    /// <summary>Values from the Maclaurin series in 60 decimal digits.</summary>
    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.5, 0.52049987781304654)]
    [InlineData(-1, -0.84270079294971487)]
    [InlineData(2.4, 0.99931148610335492)]
    [InlineData(2.6, 0.99976396558347065)]
    [InlineData(4, 0.99999998458274210)]
    [InlineData(7, 1)]
    public void Error_function(double x, double expected) => Assert.Equal(expected, ErrorFunction.Value(x), 1e-15);

    [Fact]
    public void Gelu_in_its_two_forms_is_nearly_one_function()
    {
        for (double x = -6; x <= 6; x += 0.25)
        {
            double tanh = 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
            Assert.Equal(tanh, ScalarAlgebra.Evaluate(Functions.GeluTanh.Body, [x]), 1e-12);
            Assert.Equal(tanh, ScalarAlgebra.Evaluate(Functions.GeluErf.Body, [x]), 1e-3);
        }
    }

    private static double[] Numbers(Random random) => Enumerable.Range(0, Arguments).Select(_ => random.NextDouble() * 4 - 2).ToArray();

    private static double Difference(ScalarExpression e, double[] x, int input, double step)
    {
        double[] more = (double[])x.Clone(), less = (double[])x.Clone();
        (more[input], less[input]) = (x[input] + step, x[input] - step);
        return (ScalarAlgebra.Evaluate(e, more) - ScalarAlgebra.Evaluate(e, less)) / (2 * step);
    }

    /// <summary>A function that is defined and tame everywhere: logarithms, roots, quotients and powers get arguments that are positive.</summary>
    private static ScalarExpression RandomExpression(Random random, int depth)
    {
        if (depth == 0 || random.Next(8) == 0)
        {
            return random.Next(4) == 0 ? new Constant(random.Next(-2, 3)) : In(random.Next(Arguments));
        }

        ScalarExpression Next() => RandomExpression(random, depth - 1);
        ScalarExpression Positive() => new Unary(UnaryKind.Abs, Next()) + 1;
        ScalarExpression Small() => new Unary(UnaryKind.Tanh, Next());
        return random.Next(18) switch
        {
            0 or 1 => Next() + Next(),
            2 => Next() - Next(),
            3 or 4 => Next() * Next(),
            5 => Next() / Positive(),
            6 => -Next(),
            7 => new Unary(UnaryKind.Exp, Small()),
            8 => new Unary(UnaryKind.Log, Positive()),
            9 => new Unary(UnaryKind.Sqrt, Positive()),
            10 => new Unary(UnaryKind.Tanh, Next()),
            11 => new Unary(UnaryKind.Erf, Next()),
            12 => new Unary(UnaryKind.Sigmoid, Next()),
            13 => new Unary(random.Next(2) == 0 ? UnaryKind.Sin : UnaryKind.Cos, Next()),
            14 => new Unary(UnaryKind.Abs, Next()),
            15 => new Binary(random.Next(2) == 0 ? BinaryKind.Min : BinaryKind.Max, Next(), Next()),
            16 => new Binary(BinaryKind.Power, Positive(), Small()),
            _ => new Select(new Binary(random.Next(2) == 0 ? BinaryKind.Less : BinaryKind.LessOrEqual, Next(), Next()), Next(), Next()),
        };
    }
}
