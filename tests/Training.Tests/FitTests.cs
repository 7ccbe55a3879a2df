using System.Globalization;

namespace Shardwright.Tests;

/// <summary>What the plan says does not fit, does not start.</summary>
public sealed class FitTests
{
    [Fact]
    public void ARankOfAPlanThatDoesNotFitRefusesToStartWithThePlansNumbers()
    {
        Plan plan = TooLarge.OnSmallMesh.Plan;
        Assert.False(plan.Fits);
        Assert.Equal(3 << 20, plan.UsableBytes);
        using var world = World.InProcess(TooLarge.OnSmallMesh.Mesh, new WorldOptions { ThreadsPerRank = 1 });
        Exception thrown = Assert.ThrowsAny<Exception>(() => world.Run(context => new TooLarge.OnSmallMesh.Rank(context, 1).Dispose()));
        string message = thrown.ToString();
        Assert.Contains(nameof(InsufficientMemoryException), message, StringComparison.Ordinal);
        foreach (string part in new[] { "Rank ", "of 'Shardwright.Tests.TooLarge' on 'SmallMesh' needs " + plan.TotalBytes.ToString("N0", CultureInfo.InvariantCulture) + " bytes, the figure of its plan (Parameters 524,288", "device 'SmallDevice' leaves an arena 3,145,728", "SW3001" })
        {
            Assert.Contains(part, message, StringComparison.Ordinal);
        }
    }
}
