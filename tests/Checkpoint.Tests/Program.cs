using System.Globalization;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>What tests run as a child process: a run that saves after every step and goes on where it was, to be ended from outside at any moment.</summary>
public static class Program
{
    public static int Main(string[] arguments)
    {
        if (arguments is ["memory"])
        {
            return MemoryTests.Child();
        }

        if (arguments is not ["train", string name, string folder, string steps])
        {
            Console.Error.WriteLine("usage: train SUBJECT FOLDER STEPS");
            return 2;
        }

        Subject subject = Subject.Of(name);
        int until = int.Parse(steps, CultureInfo.InvariantCulture);
        try
        {
            subject.Run(rank =>
            {
                bool speaks = rank.Context.Rank == 0;
                if (Checkpoint.Exists(folder))
                {
                    rank.Load(folder);
                }

                Say(speaks, $"start {rank.Step}");
                while (rank.Step < until)
                {
                    StepResult result = subject.Train(rank, rank.Step);
                    Say(speaks, $"loss {rank.Step} {BitConverter.DoubleToInt64Bits(result.Loss)}");
                    rank.Save(folder);
                    Say(speaks, $"saved {rank.Step}");
                }
            });
            return 0;
        }
        catch (RankFailedException error)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    private static void Say(bool speaks, string line)
    {
        if (speaks)
        {
            Console.Out.WriteLine(line);
            Console.Out.Flush();
        }
    }
}
