using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>All that the ranks of a mesh do together in an entry, in the order in which the emitted program does it: messages between stages, collectives inside of them, and what ends a
/// step: gradients over the axes that split the batch, tied gradients, losses, norms, updated shards of parameters. It is what the proof runs.</summary>
internal sealed class StepWorld
{
    private readonly EquatableArray<(string Name, int Size)> _axes;
    private readonly string _pipeline;
    private readonly IReadOnlyList<StageProgram> _programs;
    private readonly IReadOnlyList<int> _programOf;
    private readonly EquatableArray<TiedPlan> _tied;
    private readonly List<MeshGroup> _groups = new();
    private readonly Dictionary<string, int> _numbers = new();

    /// <summary>The world of a model.</summary>
    /// <param name="axes">All axes of the mesh, outermost first.</param>
    /// <param name="pipeline">Which of them is the pipeline.</param>
    /// <param name="programs">Programs of stages.</param>
    /// <param name="programOf">Program of each stage.</param>
    /// <param name="tied">Parameters that several stages hold.</param>
    public StepWorld(EquatableArray<(string Name, int Size)> axes, string pipeline, IReadOnlyList<StageProgram> programs, IReadOnlyList<int> programOf, EquatableArray<TiedPlan> tied)
    {
        _axes = axes;
        _pipeline = pipeline;
        _programs = programs;
        _programOf = programOf;
        _tied = tied;
    }

    /// <summary>The programs of an entry, one for each coordinate on the pipeline axis.</summary>
    public MeshWorld Of(string entry, LoweredPipeline order)
    {
        var inside = new Dictionary<InsideKey, LaneInstruction[]>();
        EquatableArray<LaneInstruction>[] programs = order.Ranks.Select((lines, rank) =>
        {
            ImmutableArray<ActionTurn> turns = ActionTurn.Of(order.Table.Ranks[rank]);
            int action = 0, until = Enumerable.Range(0, lines.Count).LastOrDefault(i => lines[i].Kind is LoweredKind.Compute or LoweredKind.StartSend or LoweredKind.AwaitReceive);
            var late = new List<LaneInstruction>();
            var result = ImmutableArray.CreateBuilder<LaneInstruction>(lines.Count + 16);
            Dictionary<int, int> last = Enumerable.Range(0, lines.Count).Where(i => lines[i].Kind == LoweredKind.Compute && lines[i].Action is ActionKind.Backward or ActionKind.WeightGradient)
                .GroupBy(i => lines[i].Stage).ToDictionary(g => g.Key, g => g.Last());
            for (int at = 0; at < lines.Count; at++)
            {
                LoweredAction line = lines[at];
                switch (line.Kind)
                {
                    case LoweredKind.Compute:
                        Doing? Neighbour(int i) => i < 0 || i >= turns.Length ? null : new Doing(_programOf[order.Table.Ranks[rank][i].Stage], order.Table.Ranks[rank][i].Kind, turns[i].Stays, turns[i].Turns);
                        var key = new InsideKey(Neighbour(action)!.Value, last.TryGetValue(line.Stage, out int final) && final == at, Neighbour(action - 1), Neighbour(action + 1));
                        action++;
                        if (!inside.TryGetValue(key, out LaneInstruction[]? collectives))
                        {
                            inside[key] = collectives = Inside(entry, key).ToArray();
                        }

                        result.Add(new LaneInstruction(LaneKind.Compute, -1));
                        result.AddRange(collectives);
                        break;
                    case LoweredKind.StartReceive:
                        result.Add(new LaneInstruction(LaneKind.StartReceive, line.Message));
                        break;
                    case LoweredKind.AwaitReceive:
                        result.Add(new LaneInstruction(LaneKind.AwaitReceive, line.Message));
                        break;
                    case LoweredKind.StartSend:
                        result.Add(new LaneInstruction(LaneKind.StartSend, line.Message));
                        break;
                    case LoweredKind.AwaitSend:
                        (at > until && entry != "Infer" ? (ICollection<LaneInstruction>)late : result).Add(new LaneInstruction(LaneKind.AwaitSend, line.Message));
                        break;
                }
            }

            result.AddRange(End(entry, order.Table, rank, late));
            return result.ToImmutable().ToEquatable();
        }).ToArray();
        return new MeshWorld(
            _axes.Select(a => a.Size).ToEquatable(), _axes.ToList().FindIndex(a => a.Name == _pipeline), programs.ToEquatable(),
            order.Messages.Select(m => new LaneMessage(m.FromRank, m.ToRank, m.Bytes)).ToEquatable(), _groups.ToEquatable());
    }

    /// <summary>Why the entry stands still on the least that an engine may keep; null if all ranks end. Ranks at one place of the pipeline run the same program, and are proven once.</summary>
    public Standstill? Check(string entry, LoweredPipeline order, CancellationToken cancellation) =>
        ProgressProof.Check(Of(entry, order).Equal() with { MessageName = m => PipelineProof.Name(order.Messages[m]) }, EngineModel.Strict, cancellation);

    /// <summary>Layers that stand for all of a loop whose layers start what their neighbours wait for: its first, one between, its last.</summary>
    private const int LinkedLayers = 3;

    /// <summary>An action, with what it finds in its rings.</summary>
    private readonly record struct Doing(int Program, ActionKind Kind, bool Stays, bool Turns)
    {
        public bool Finds(RingFind? by) => by switch { RingFind.Turns => Turns, RingFind.Stays => Stays, _ => false };
    }

    /// <summary>An action between the rank's other ones.</summary>
    private readonly record struct InsideKey(Doing Own, bool IsLast, Doing? Before, Doing? Next);

    private IEnumerable<PhasePlan> Phases(Doing action, string entry)
    {
        Phase[] wanted = action.Kind switch
        {
            ActionKind.Forward => new[] { Phase.Forward },
            ActionKind.InputGradient => new[] { Phase.InputGradient },
            ActionKind.WeightGradient => new[] { Phase.WeightGradient },
            _ => new[] { Phase.Backward, Phase.InputGradient, Phase.WeightGradient },
        };
        return wanted.SelectMany(w => _programs[action.Program].Entries.First(e => e.Name == entry).Phases.Where(p => p.Phase == w));
    }

    private IEnumerable<LaneInstruction> Opening(Doing? action, string entry) => action is not { } next ? Enumerable.Empty<LaneInstruction>()
        : Phases(next, entry).SelectMany(p => p.Opening).Where(s => !next.Finds(s.Unless)).Select(s => Line(_programs[next.Program], s, last: false)!.Value);

    private IEnumerable<LaneInstruction> Closing(Doing? action, string entry) => action is not { } before ? Enumerable.Empty<LaneInstruction>()
        : Phases(before, entry).SelectMany(p => p.Closing).Select(s => Line(_programs[before.Program], s, last: false)).Where(l => l is not null).Select(l => l!.Value);

    /// <summary>Collectives of an action. A loop does the same for every layer: where it leaves nothing under way, once stands for all, or a few layers where neighbours are linked.
    /// What the next action reads first is started where it says so, and the sums of the one before end where it says so: at its end at the latest.</summary>
    private IEnumerable<LaneInstruction> Inside(string name, InsideKey key)
    {
        StageProgram stage = _programs[key.Own.Program];
        EntryPlan entry = stage.Entries.First(e => e.Name == name);
        bool last = key.IsLast, starts = true, ends = true;
        foreach (LaneInstruction first in key.Before is null ? Opening(key.Own, name) : Enumerable.Empty<LaneInstruction>())
        {
            yield return first;
        }

        foreach (PhasePlan phase in Phases(key.Own, name))
        {
            foreach (ProgramStatement statement in phase.Main)
            {
                var call = statement as ProgramStatement.Call;
                IEnumerable<ProgramStatement> body = call is not null ? entry.Methods[call.Method].Statements : new[] { statement };
                (LaneInstruction[] Lines, LayerGuard? Guard)[] lines = body.Select(s => (Lines: Lines(s), s.Guard)).Where(l => l.Lines.Length > 0).ToArray();
                bool settled = lines.Sum(l => l.Lines.Count(i => i.Kind == LaneKind.StartCollective)) == lines.Sum(l => l.Lines.Count(i => i.Kind == LaneKind.AwaitCollective));
                int layers = Math.Max(1, call?.Layers ?? 0), shown = !settled ? layers : lines.Any(l => l.Guard is not null) ? Math.Min(LinkedLayers, layers) : 1;
                for (int i = 0; i < shown; i++)
                {
                    int layer = call is { Reversed: true } ? shown - 1 - i : i;
                    foreach ((LaneInstruction[] some, LayerGuard? guard) in lines)
                    {
                        foreach (LaneInstruction line in guard is null || (guard with { Layers = shown }).Holds(layer, !key.Own.Finds(guard.By)) ? some : [])
                        {
                            yield return line;
                        }
                    }
                }
            }
        }

        foreach (LaneInstruction late in Lines(new ProgramStatement.EndPrevious()).Concat(Lines(new ProgramStatement.StartNext())).Concat(key.Next is null ? Closing(key.Own, name) : Enumerable.Empty<LaneInstruction>()))
        {
            yield return late;
        }

        LaneInstruction[] Lines(ProgramStatement statement)
        {
            switch (statement)
            {
                case ProgramStatement.StartNext:
                    (bool first, starts) = (starts, false);
                    return first ? Opening(key.Next, name).ToArray() : [];
                case ProgramStatement.EndPrevious:
                    (first, ends) = (ends, false);
                    return first ? Closing(key.Before, name).ToArray() : [];
                default:
                    return Line(stage, statement, last) is { } line ? [line] : [];
            }
        }
    }

    private LaneInstruction? Line(StageProgram stage, ProgramStatement statement, bool last) => statement switch
    {
        ProgramStatement.StartGradients gradients when last => new LaneInstruction(LaneKind.StartCollective, Group(EquatableArray.Of(stage.Groups[gradients.Group].Reductions[0].Axis)), $"gradients, {stage.Groups[gradients.Group].Name}"),
        ProgramStatement.Start start => new LaneInstruction(LaneKind.StartCollective, Group(start.Axes), $"{start.Kind}: {start.Reason}{start.ChunkText}"),
        ProgramStatement.Wait wait => new LaneInstruction(LaneKind.AwaitCollective, Group(wait.Axes)),
        _ => null,
    };

    /// <summary>What ends an entry.</summary>
    /// <param name="late">Waits for the last messages.</param>
    private IEnumerable<LaneInstruction> End(string entry, ActionTable table, int rank, IEnumerable<LaneInstruction> late)
    {
        if (entry == "Train")
        {
            foreach (ParameterGroup group in table.StagesOf(rank).SelectMany(s => _programs[_programOf[s]].Groups))
            {
                for (int bucket = 0; bucket < group.Buckets; bucket++)
                {
                    for (int i = 0; i < group.Reductions.Count; i++)
                    {
                        yield return new LaneInstruction(i == 0 && group.StartsInBackward ? LaneKind.AwaitCollective : LaneKind.Collective, Group(EquatableArray.Of(group.Reductions[i].Axis)), $"gradients, {group.Name}");
                    }
                }
            }

            foreach (TiedPlan tied in _tied.Where(t => t.Ranks.Count > 1 && t.Ranks.Contains(rank)))
            {
                yield return new LaneInstruction(LaneKind.Collective, Group(EquatableArray.Of(_pipeline), tied.Ranks), $"gradients of {tied.Path}");
            }
        }

        if (entry == "Infer")
        {
            yield return new LaneInstruction(LaneKind.Collective, Group(EquatableArray.Of(_pipeline)), "result");
            yield break;
        }

        foreach (EquatableArray<string> set in RankProgram.LossSetsOf(_programs, entry))
        {
            yield return new LaneInstruction(LaneKind.Collective, Group(WithPipeline(set)), "loss");
        }

        foreach (LaneInstruction send in late)
        {
            yield return send;
        }

        foreach (EquatableArray<string> set in entry == "Train" ? RankProgram.NormSetsOf(_programs) : default)
        {
            yield return new LaneInstruction(LaneKind.Collective, Group(WithPipeline(set)), "gradient norm");
        }

        if (entry == "Train")
        {
            // Each stage waits for what its optimizer has started.
            foreach (StageProgram stage in table.StagesOf(rank).Select(s => _programs[_programOf[s]]))
            {
                List<ParameterGroup> buckets = stage.Groups.Where(g => g.Shards is { Stage: < 3 }).SelectMany(g => Enumerable.Repeat(g, g.Buckets)).ToList();
                foreach (ParameterGroup group in buckets)
                {
                    yield return new LaneInstruction(LaneKind.StartCollective, Group(EquatableArray.Of(group.Shards!.Axis)), $"parameters, {group.Name}");
                }

                foreach (ParameterGroup group in buckets)
                {
                    yield return new LaneInstruction(LaneKind.AwaitCollective, Group(EquatableArray.Of(group.Shards!.Axis)), $"parameters, {group.Name}");
                }
            }
        }
    }

    private EquatableArray<string> WithPipeline(EquatableArray<string> axes) => _axes.Select(a => a.Name).Where(a => a == _pipeline || axes.Contains(a)).ToEquatable();

    /// <summary>The group over axes; of the pipeline axis only some coordinates, where these are given.</summary>
    private int Group(EquatableArray<string> axes, EquatableArray<int>? coordinates = null)
    {
        string name = string.Join("+", axes) + (coordinates is { } some ? " " + string.Join(" and ", some) : "");
        if (!_numbers.TryGetValue(name, out int number))
        {
            _numbers[name] = number = _groups.Count;
            List<string> names = _axes.Select(a => a.Name).ToList();
            _groups.Add(new MeshGroup(name, axes.Select(a => names.IndexOf(a)).ToEquatable(), coordinates));
        }

        return number;
    }
}
