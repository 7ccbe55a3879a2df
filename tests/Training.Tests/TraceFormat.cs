using System.Text.Json;

namespace Shardwright.Tests;

/// <summary>A step in a trace.</summary>
/// <param name="Microseconds">Its time.</param>
/// <param name="Share">Of it, kernels and waits.</param>
public sealed record TracedStep(decimal Microseconds, double Share);

/// <summary>What every trace must be, recorded or simulated: Chrome's trace event format, spans of a rank's own thread within each other.</summary>
public static class TraceFormat
{
    /// <summary>Checks the form of every event.</summary>
    /// <param name="events">Events of the file.</param>
    /// <param name="processes">Processes that it must name, from 0.</param>
    public static void CheckForm(IEnumerable<JsonElement> events, int processes)
    {
        var open = new Dictionary<string, decimal>();
        int named = 0;
        foreach (JsonElement e in events)
        {
            string name = e.GetProperty("name").GetString()!;
            Assert.NotEmpty(name);
            Assert.InRange(e.GetProperty("pid").GetInt32(), 0, processes - 1);
            Assert.Equal(0, e.GetProperty("tid").GetInt32());
            switch (e.GetProperty("ph").GetString())
            {
                case "M":
                    Assert.Contains(name, new[] { "process_name", "process_sort_index", "thread_name" });
                    Assert.Single(e.GetProperty("args").EnumerateObject());
                    named += name == "process_name" ? 1 : 0;
                    break;
                case "X":
                    Assert.True(e.GetProperty("ts").GetDecimal() >= 0 && e.GetProperty("dur").GetDecimal() >= 0);
                    break;
                case "b":
                    open.Add($"{e.GetProperty("pid")} {e.GetProperty("id2").GetProperty("local")}", e.GetProperty("ts").GetDecimal());
                    break;
                default:
                    Assert.Equal("e", e.GetProperty("ph").GetString());
                    Assert.True(open.Remove($"{e.GetProperty("pid")} {e.GetProperty("id2").GetProperty("local")}", out decimal since) && since <= e.GetProperty("ts").GetDecimal());
                    break;
            }
        }

        Assert.Empty(open);
        Assert.Equal(processes, named);
    }

    /// <summary>Checks that spans lie within each other, and in a step.</summary>
    /// <returns>The steps of each process.</returns>
    public static IReadOnlyList<(int Process, IReadOnlyList<TracedStep> Steps)> CheckNesting(IEnumerable<JsonElement> events)
    {
        var result = new List<(int, IReadOnlyList<TracedStep>)>();
        foreach (IGrouping<int, JsonElement> rank in events.Where(e => e.GetProperty("ph").GetString() == "X").GroupBy(e => e.GetProperty("pid").GetInt32()))
        {
            var spans = rank.Select(e => (Start: e.GetProperty("ts").GetDecimal(), End: e.GetProperty("ts").GetDecimal() + e.GetProperty("dur").GetDecimal(), Kind: e.GetProperty("cat").GetString()!)).OrderBy(s => s.Start).ThenByDescending(s => s.End).ToList();
            var around = new Stack<(decimal Start, decimal End, string Kind)>();
            var steps = spans.Where(s => s.Kind == "step").ToList();
            var work = new decimal[steps.Count];
            foreach (var span in spans)
            {
                while (around.Count > 0 && around.Peek().End <= span.Start)
                {
                    around.Pop();
                }

                Assert.True(around.Count == 0 || span.End <= around.Peek().End, $"rank {rank.Key}: a span reaches over the end of the one around it");
                Assert.True(around.Count > 0 || span.Kind == "step", $"rank {rank.Key}: a {span.Kind} lies in no step");
                around.Push(span);
                work[steps.FindLastIndex(s => s.Start <= span.Start)] += span.Kind is "kernel" or "wait" ? span.End - span.Start : 0;
            }

            result.Add((rank.Key, [.. steps.Select((s, i) => new TracedStep(s.End - s.Start, (double)(work[i] / (s.End - s.Start))))]));
        }

        return result;
    }
}
