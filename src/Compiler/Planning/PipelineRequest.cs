using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Planning;

/// <summary>Reads what a model asks of the pipeline axis of its mesh: the cut, the number of stages on a rank, the schedule; and says what cannot be.</summary>
internal sealed class PipelineRequest
{
    private readonly ModelDefinition _model;
    private readonly ShardedOnDefinition _on;
    private readonly List<Finding> _findings;
    private readonly Func<ActionTable, ModelSegments, CutResult?> _search;

    /// <param name="model">The model.</param>
    /// <param name="on">Its mesh.</param>
    /// <param name="findings">Receives what cannot be.</param>
    /// <param name="search">Finds the best cut for an order of actions; null where there is no plan, or nothing to search.</param>
    public PipelineRequest(ModelDefinition model, ShardedOnDefinition on, List<Finding> findings, Func<ActionTable, ModelSegments, CutResult?> search)
    {
        _model = model;
        _on = on;
        _findings = findings;
        _search = search;
    }

    /// <summary>What was asked for.</summary>
    /// <param name="Axis">The pipeline axis; empty for a model of one stage.</param>
    /// <param name="Cut">Where the cuts lie.</param>
    /// <param name="Table">The order of actions; null for a model of one stage.</param>
    public sealed record Answer(string Axis, StageCut Cut, ActionTable? Table);

    private string Site => _model.Layer.Type + "#" + _on.Site;

    private string Name => _model.Layer.ShortName;

    /// <summary>Reads the request for a traced model; null where a finding says why not.</summary>
    public Answer? Read(ModelGraph graph, int microBatches)
    {
        List<MeshAxisDefinition> axes = _on.Mesh.Axes.Where(a => a.Role == "Pipeline" && a.Size > 1).ToList();
        if (axes.Count == 0)
        {
            return Idle(graph) is { } idle ? Fail("SW2003", idle.Site, $"{idle.What} of '{Name}' on '{_on.Mesh.ShortName}' orders nothing: the mesh has no axis of the role Pipeline; give it one, or leave that out") : new Answer("", StageCut.One, null);
        }

        if (axes.Count > 1)
        {
            return Fail("SW2003", Site, $"'{_on.Mesh.ShortName}' has {axes.Count} axes of the role Pipeline ({string.Join(", ", axes.Select(a => a.Name))}): a model has one pipeline, so give one of them the product of their sizes and take the other away");
        }

        MeshAxisDefinition axis = axes[0];
        if (_on.Schedule == "Custom" || _on.OwnSchedule is not null)
        {
            return Own(graph, axis, microBatches);
        }

        if (Schedules.Find(_on.Schedule) is not { } schedule)
        {
            return Fail("SW2003", Site, $"there is no schedule '{_on.Schedule}': use one of {string.Join(", ", Schedules.All.Select(s => s.EnumName))}");
        }

        List<StageRequest> requests = Requests(graph, axis.Size);
        int? asked = requests.Where(r => !r.IsSingle && r.Counts.Count >= axis.Size).Select(r => (int?)(r.Counts.Count / axis.Size)).FirstOrDefault();
        if (asked is { } staged && _on.Chunks != 0 && _on.Chunks != staged)
        {
            return Fail("SW2003", Site, $"Chunks = {_on.Chunks} and [Stages] with {staged * axis.Size} numbers for {axis.Size} ranks do not agree: leave Chunks out, or give {_on.Chunks * axis.Size} numbers");
        }

        int chunks = asked ?? (_on.Chunks != 0 ? _on.Chunks : schedule.RequiredChunks ?? 2);
        var shape = new ScheduleShape(axis.Size, chunks, microBatches, _on.GroupSize != 0 ? _on.GroupSize : null, _on.HopAwareWarmUp);
        if (schedule.Refuse(shape) is { } reason)
        {
            return Fail("SW2003", Site, $"the schedule of '{Name}' on '{_on.Mesh.ShortName}' cannot run: {reason}");
        }

        ActionTable table = ActionTable.Build(schedule, shape).Merged();
        return Cut(graph, requests, axis, table) is { } cut ? new Answer(axis.Name, cut, table) : null;
    }

    /// <summary>What is asked of a pipeline on a mesh without one; an axis of one rank is one.</summary>
    private (string What, string Site)? Idle(ModelGraph graph)
    {
        if (_on.Mesh.Axes.Any(a => a.Role == "Pipeline"))
        {
            return null;
        }

        string what = _on.OwnSchedule is { } own ? $"OwnSchedule = typeof({own.Name})" : _on.Schedule != "OneForwardOneBackward" ? $"Schedule = {_on.Schedule}"
            : _on.Chunks != 0 ? $"Chunks = {_on.Chunks}" : _on.GroupSize != 0 ? $"GroupSize = {_on.GroupSize}" : _on.HopAwareWarmUp ? "HopAwareWarmUp" : "";
        return what.Length > 0 ? (what, Site) : graph.StageRequests.FirstOrDefault(r => r.Mesh == _on.Mesh.Type) is { } request ? ($"The cut of '{request.Path}'", request.Site) : null;
    }

    /// <summary>A schedule that the user has written.</summary>
    private Answer? Own(ModelGraph graph, MeshAxisDefinition axis, int microBatches)
    {
        if (_on.OwnSchedule is not { } own || own.Ranks.Count == 0)
        {
            return Fail("SW2007", Site, _on.OwnSchedule is null
                ? "Schedule = PipelineSchedule.Custom names no schedule: add OwnSchedule = typeof(…), a class with [RankActions(rank, \"0F0 0B0\")] for each rank"
                : $"'{_on.OwnSchedule.Name}' has no actions: give it [RankActions(rank, \"0F0 0B0\")] for each of the {axis.Size} ranks");
        }

        if (_on.Chunks != 0 || _on.GroupSize != 0 || _on.HopAwareWarmUp)
        {
            return Fail("SW2003", Site, $"'{own.Name}' says by itself what each rank does when: leave out Chunks, GroupSize and HopAwareWarmUp");
        }

        if (_on.Schedule != "Custom")
        {
            return Fail("SW2003", Site, $"OwnSchedule = typeof({own.Name}) and Schedule = {_on.Schedule} are two schedules: set Schedule = PipelineSchedule.Custom, or leave OwnSchedule out");
        }

        (ActionTable? table, string? wrong) = UserSchedule.Check(own.Name, own.Ranks.Select(r => (r.Rank, r.Actions)).ToList(), new ScheduleShape(axis.Size, 1, microBatches));
        wrong ??= TableValidation.BeginsWithFirst(table!) is { } late ? $"schedule '{own.Name}': {late}" : null;
        return table is null || wrong is not null ? Fail("SW2007", Site, wrong!)
            : Cut(graph, Requests(graph, axis.Size), axis, table.Merged()) is { } cut ? new Answer(axis.Name, cut, table.Merged()) : null;
    }

    /// <summary>Requests for this mesh: those that name it come before those for all meshes with that number of stages.</summary>
    private List<StageRequest> Requests(ModelGraph graph, int ranks) => graph.StageRequests
        .Where(r => r.Mesh == _on.Mesh.Type || (r.Mesh.Length == 0 && (r.IsSingle || r.Counts.Count % ranks == 0)))
        .GroupBy(r => r.Path).Select(g => g.OrderByDescending(r => r.Mesh.Length > 0).First()).ToList();

    private StageCut? Cut(ModelGraph graph, List<StageRequest> requests, MeshAxisDefinition axis, ActionTable table)
    {
        int stages = table.Stages;
        var stacks = new List<(string, EquatableArray<int>)>();
        foreach (StageRequest request in requests.Where(r => !r.IsSingle))
        {
            if (graph.Stacks.FirstOrDefault(s => s.Path == request.Path) is not { } stack)
            {
                return (StageCut?)Finding("SW2001", request.Site, $"[Stages] on '{request.Path}': only a LayerStack has layers to share out; use [Stage(n)] on a single layer");
            }

            if (request.Counts.Count != stages || request.Counts.Any(c => c < 0) || request.Counts.Sum() != stack.Layers)
            {
                string nearest = string.Join(", ", Even(stack.Layers, stages));
                return (StageCut?)Finding("SW2001", request.Site, $"[Stages({string.Join(", ", request.Counts)})] on '{request.Path}' gives {request.Counts.Sum()} layers to {request.Counts.Count} stages, and it has {stack.Layers} layers for the {stages} stages of '{_on.Mesh.ShortName}' ({axis.Name} = {axis.Size}): [Stages({nearest})] adds up", Fix.Of($"Write [Stages({nearest})]", "SW2001/nearest", EditKind.SetArgument, request.Site, "", nearest));
            }

            stacks.Add((stack.Path, request.Counts.Select(c => (int)c).ToEquatable()));
        }

        var layers = new List<(string, int)>();
        foreach (StageRequest request in requests.Where(r => r.IsSingle))
        {
            long stage = request.Counts.Count == 1 ? request.Counts[0] : -1;
            if (stage < 0 || stage >= stages)
            {
                return (StageCut?)Finding("SW2001", request.Site, $"[Stage({stage})] on '{request.Path}': '{_on.Mesh.ShortName}' has the stages 0 to {stages - 1}");
            }

            layers.Add((request.Path, (int)stage));
        }

        // A layer that is asked for where it stands anyway leaves the layers of the stacks to the search.
        ModelSegments segments = ModelSegments.Of(graph);
        if (stacks.Count == 0 && layers.All(l => (l.Item2 == 0 && segments.StandsAt(l.Item1, first: true)) || (l.Item2 == stages - 1 && segments.StandsAt(l.Item1, first: false))))
        {
            return Automatic(graph, axis, table, segments);
        }

        foreach (Stack stack in graph.Stacks.Where(k => stacks.All(s => s.Item1 != k.Path)))
        {
            stacks.Add((stack.Path, Even(stack.Layers, stages).ToEquatable()));
        }

        return Check(graph, new StageCut(stages, stacks.ToEquatable(), layers.ToEquatable()), requests.FirstOrDefault()?.Site ?? Site);
    }

    /// <summary>The cut whose simulated step is shortest.</summary>
    private StageCut? Automatic(ModelGraph graph, MeshAxisDefinition axis, ActionTable table, ModelSegments segments)
    {
        int chunks = table.Stages / axis.Size;
        if (segments.Count < table.Stages)
        {
            return (StageCut?)Finding("SW2001", Site, $"'{Name}' has {segments.Count} {(segments.Count == 1 ? "piece" : "pieces")} to share out (each layer of a stack, and what has parameters before and after), and '{_on.Mesh.ShortName}' has {table.Stages} stages ({axis.Name} = {axis.Size}{(chunks > 1 ? $", {chunks} on each" : "")}): {(chunks > 1 && _on.Chunks > 0 && segments.Count >= axis.Size ? $"Chunks = {segments.Count / axis.Size} would do, or " : "")}give {axis.Name} a size of {Math.Max(1, segments.Count / Math.Max(1, chunks))} or less, or the model more layers");
        }

        return _search(table, segments) is { } found ? Check(graph, segments.Cut(found.Best.Counts), Site) : null;
    }

    /// <summary>Every stage has something to train.</summary>
    private StageCut? Check(ModelGraph graph, StageCut cut, string site)
    {
        StageMap map = StageMap.Make(graph, cut);
        if (map.Faults.Count > 0)
        {
            OutOfOrder fault = map.Faults[0];
            string where = graph.StageRequests.FirstOrDefault(r => r.Path == fault.Path && r.IsSingle)?.Site ?? site;
            return (StageCut?)Finding("SW2006", where, fault.Reads
                ? $"[Stage({fault.Stage})] on '{fault.Path}': it reads '{fault.Value}', which is made on stage {fault.Other} of '{Name}' on '{_on.Mesh.ShortName}', and stages only pass forward: {Or(fault.Other, cut.Stages - 1)} would do"
                : $"[Stage({fault.Stage})] on '{fault.Path}': it makes '{fault.Value}', which is needed on stage {fault.Other} of '{Name}' on '{_on.Mesh.ShortName}', and stages only pass forward: {Or(0, fault.Other)} would do");
        }

        var busy = new HashSet<int>();
        foreach (Region region in graph.Regions.Where(r => !r.IsBackward))
        {
            foreach (Node node in region.Nodes.Where(n => n.Inputs.Any(i => i.Kind == ValueKind.Parameter)))
            {
                busy.UnionWith(region.Stack is { } stack ? Enumerable.Range(0, cut.Stages).Where(s => map.Layers(stack.Id, s) > 0) : new[] { map.StageOf(node) });
            }
        }

        int idle = Enumerable.Range(0, cut.Stages).Where(s => !busy.Contains(s)).DefaultIfEmpty(-1).First();
        return idle < 0 ? cut : (StageCut?)Finding("SW2001", site, $"stage {idle} of '{Name}' on '{_on.Mesh.ShortName}' has no parameters to train: {(graph.Stacks.FirstOrDefault(k => k.Layers >= cut.Stages) is { } shared ? $"[Stages({string.Join(", ", Even(shared.Layers, cut.Stages))})] on '{shared.Path}' would do; or " : "")}give it a layer, or the pipeline fewer stages than {cut.Stages}");
    }

    private static string Or(int from, int to) => string.Join(from + 1 == to ? " or " : " to ", new[] { from, to }.Distinct().Select(s => $"[Stage({s})]"));

    private static IEnumerable<int> Even(int layers, int stages) => Enumerable.Range(0, stages).Select(s => layers / stages + (s >= stages - layers % stages ? 1 : 0));

    private Answer? Fail(string id, string site, string message) => (Answer?)Finding(id, site, message);

    private object? Finding(string id, string site, string message, Fix? fix = null)
    {
        _findings.Add(Graph.Finding.At(id, site, message) with { Fixes = fix is null ? default : EquatableArray.Of(fix) });
        return null;
    }
}
