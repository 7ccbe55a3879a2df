using System.Runtime.Intrinsics;

namespace Shardwright.Tests;

/// <summary>What <see cref="HardwarePathTests"/> starts: kernel tests outside of the test host, on the vectors that are left.</summary>
internal static class Program
{
    private static int Main()
    {
        Console.WriteLine(Vector512.IsHardwareAccelerated ? "512 on" : Vector256.IsHardwareAccelerated ? "512 off" : "512 off, 256 off");
        var gemm = new GemmTests();
        var kernels = new KernelTests();
        try
        {
            gemm.AnyFormFollowsTheTextbook(1, 1, 1);
            gemm.AnyFormFollowsTheTextbook(13, 33, 17);
            gemm.AnyFormFollowsTheTextbook(50, 70, 530);
            gemm.TheOrderAlongTheDepthDoesNotDependOnTheOtherSizes();
            new AttentionTests().FollowsItsFormula(2, 2, 2, 7, 7, 5, true, false);
            new AttentionTests().FollowsItsFormula(2, 3, 1, 45, 45, 12, false, true);
            new AttentionTests().FollowsItsFormula(1, 1, 1, 70, 61, 8, true, false);
            new AttentionTests().FollowsItsFormula(1, 2, 1, 67, 67, 18, true, true);
            Console.WriteLine($"{AttentionTests.Bits()} {KernelTests.Bits()}");
            kernels.LogSumExpFollowsALargestThatMoves();
            kernels.LayerNormFollowsItsFormula(3, 19);
            kernels.NormsWithoutMeanAndSoftmaxFollowTheirFormulas(5, 37);
            kernels.CrossEntropyAndItsGradientFollowTheFormula(3, 50);
            kernels.CopiesPermute([3, 5, 4, 7], [0, 2, 1, 3]);
            kernels.VectorFunctionsLetNaNThrough();
            kernels.ExpAndSoftmaxMeetExtremeNumbers();
            return 0;
        }
        catch (Exception error)
        {
            Console.WriteLine(error);
            return 1;
        }
    }
}
