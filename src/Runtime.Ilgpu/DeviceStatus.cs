namespace Shardwright.Gpu;

/// <summary>Bad input that kernels meet. A kernel cannot throw: the first thread to meet some notes it, and the host throws at the next read.</summary>
internal static class DeviceStatus
{
    public const int BadTarget = 1;
    public const int BadId = 2;

    public static void Check(ReadOnlySpan<int> status, int rank)
    {
        switch (status[0])
        {
            case BadTarget:
                throw new ArgumentOutOfRangeException("targets", $"Target {status[1]} of row {status[2]} lies outside of the {status[3]} classes, and is not ignored (rank {rank}).");
            case BadId:
                throw new ArgumentOutOfRangeException("ids", $"Id {status[1]} at position {status[2]} lies outside of the table's {status[3]} rows (rank {rank}).");
        }
    }
}
