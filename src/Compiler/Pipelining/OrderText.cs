using System.Text;

namespace Shardwright.Compiler.Pipelining;

/// <summary>An order of actions as short text: <c>0F0x3 (0F3 0B0)x5 0B5x3</c>. An action, or a group in brackets, is done again for the micro-batches that follow, as often as the number behind x says.</summary>
public static class OrderText
{
    /// <summary>Longest group; schedules repeat in shorter ones.</summary>
    private const int LongestGroup = 16;

    /// <summary>Writes it.</summary>
    public static string Write(IReadOnlyList<StageAction> actions)
    {
        var text = new StringBuilder();
        for (int at = 0; at < actions.Count;)
        {
            (int length, int times) = (1, 1);
            for (int group = 1; group <= LongestGroup; group++)
            {
                int found = Times(actions, at, group);
                if (found > 1 && found * group > length * times)
                {
                    (length, times) = (group, found);
                }
            }

            string once = string.Join(" ", Enumerable.Range(at, length).Select(i => actions[i].ToString()));
            text.Append(text.Length == 0 ? "" : " ").Append(length == 1 ? once : $"({once})").Append(times == 1 ? "" : $"x{times}");
            at += length * times;
        }

        return text.ToString();
    }

    private static int Times(IReadOnlyList<StageAction> actions, int at, int group)
    {
        int same = at + group;
        while (same < actions.Count && actions[same] == actions[same - group] with { MicroBatch = actions[same - group].MicroBatch + 1 })
        {
            same++;
        }

        return (same - at) / group;
    }
}
