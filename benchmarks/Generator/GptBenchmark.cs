using System.Globalization;

namespace Shardwright.Benchmarks;

/// <summary>The shape of GPT-3 on dp × tp: from nothing, and after edits.</summary>
internal static class GptBenchmark
{
    /// <summary>A project; with another batch for each run, so that nothing of it is known from one before.</summary>
    private static (string, string)[] Files(int run) =>
        [("Layers.cs", GptShape.Layers), ("Model.cs", GptShape.Model(96).Replace("Batch = 64", $"Batch = {64 * (run + 1)}", StringComparison.Ordinal)), ("Elsewhere.cs", GptShape.Elsewhere)];

    public static void Run(int runs, Action<string, IReadOnlyList<Cost>> report, Action<string, Editor> keep)
    {
        // In a process that has run no generator yet: most of it is the runtime compiling the generator itself.
        var editor = new Editor(Files(runs));
        report("first in its process", [editor.Run()]);
        keep("gpt", editor);

        List<Cost> cold = [], elsewhere = [], layer = [], size = [];
        for (int run = 0; run < runs; run++)
        {
            editor = new Editor(Files(run));
            cold.Add(editor.Run());
            string answer = "42";
            string body = "+ downBias;", width = "4 * hidden";
            for (int edit = 0; edit < 5; edit++)
            {
                string next = (100 + edit).ToString(CultureInfo.InvariantCulture);
                editor.Edit("Elsewhere.cs", answer, next);
                elsewhere.Add(editor.Run());
                answer = next;

                // Another number each time: a plan that is known already would be found.
                string changed = $"* {edit + 2}f + downBias;";
                editor.Edit("Layers.cs", body, changed);
                layer.Add(editor.Run());
                body = changed;

                // And one that changes sizes: nothing that was placed before helps.
                string wider = $"{edit + 5} * hidden";
                editor.Edit("Layers.cs", width, wider);
                size.Add(editor.Run());
                width = wider;
            }
        }

        report("cold", cold);
        report("after an edit in one layer", layer);
        report("after an edit of a layer's sizes", size);
        report("after an edit elsewhere", elsewhere);
        Live(runs, report);
    }

    /// <summary>Diagnostics while one types: in the Forward of a layer, and in a file that has nothing to do with any.</summary>
    private static void Live(int runs, Action<string, IReadOnlyList<Cost>> report)
    {
        var editor = new Editor(Files(runs + 1));
        editor.Live("Layers.cs");
        List<Cost> elsewhere = [], idle = [], layer = [], again = [];
        string answer = "42", body = "+ downBias;";
        for (int run = 0; run < 3 * runs; run++)
        {
            string next = (100 + run).ToString(CultureInfo.InvariantCulture);
            editor.Edit("Elsewhere.cs", answer, next);
            elsewhere.Add(editor.Live("Elsewhere.cs"));
            idle.Add(editor.Live("Elsewhere.cs", new Idler()));
            answer = next;
            string changed = $"* {run + 1000}f + downBias;";
            editor.Edit("Layers.cs", body, changed);
            layer.Add(editor.Live("Layers.cs"));
            again.Add(editor.Live("Layers.cs"));
            body = changed;
        }

        report("live, after an edit in a Forward", layer);
        report("live, asked again", again);
        report("live, after an edit elsewhere", elsewhere);
        report("the same, by an idle analyzer", idle);
    }
}
