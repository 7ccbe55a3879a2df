namespace Shardwright.Compiler.Frontend;

/// <summary>A 128-bit hash of content, for keys of caches: equal content has one hash on every run and machine.</summary>
internal readonly record struct ContentHash(ulong High, ulong Low)
{
    private const ulong FirstPrime = 1099511628211, SecondPrime = 0x9E3779B97F4A7C15;

    /// <summary>Where an ordered hash starts.</summary>
    public static ContentHash Start => new(14695981039346656037, 0x2545F4914F6CDD1D);

    /// <summary>Goes on with a text; its end counts, so "ab", "c" is not "a", "bc".</summary>
    public ContentHash With(string text)
    {
        ulong high = High, low = Low;
        unchecked
        {
            foreach (char c in text)
            {
                high = (high ^ c) * FirstPrime;
                low = (low + c) * SecondPrime;
                low ^= low >> 29;
            }

            return new ContentHash((high ^ 0xFFFF) * FirstPrime, (low + (ulong)text.Length + 0x10000) * SecondPrime);
        }
    }

    /// <summary>Goes on with another hash.</summary>
    public ContentHash With(ContentHash other)
    {
        unchecked
        {
            ulong high = (High ^ other.High) * SecondPrime, low = (Low + other.Low) * FirstPrime;
            return new ContentHash(high ^ (high >> 31), low ^ (low >> 27));
        }
    }

    /// <summary>Joins without order: items of a set.</summary>
    public ContentHash Joined(ContentHash other) => unchecked(new ContentHash(High + other.High, Low + other.Low));
}
