namespace Shardwright.Compiler.Graph;

/// <summary>The error function in double precision, for evaluation of scalar expressions at compile time and in tests.</summary>
public static class ErrorFunction
{
    /// <summary>erf(x) = 2/√π ∫₀ˣ exp(−t²) dt, by its Maclaurin series near zero and a continued fraction beyond (Abramowitz and Stegun 7.1.5, 7.1.14).</summary>
    public static double Value(double x)
    {
        double a = Math.Abs(x);
        if (a > 6)
        {
            return Math.Sign(x);
        }

        if (a < 2.5)
        {
            double term = x, sum = x;
            for (int n = 1; n < 100 && Math.Abs(term) > 1e-17 * Math.Abs(sum); n++)
            {
                term *= -x * x / n;
                sum += term / (2 * n + 1);
            }

            return 2 / Math.Sqrt(Math.PI) * sum;
        }

        double fraction = a;
        for (int k = 80; k >= 1; k--)
        {
            fraction = a + k / 2.0 / fraction;
        }

        return Math.Sign(x) * (1 - Math.Exp(-a * a) / (Math.Sqrt(Math.PI) * fraction));
    }
}
