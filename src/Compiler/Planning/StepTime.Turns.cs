using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Actions of a rank whose windows span them: what one takes depends on the one before, which starts its first gather and leaves it its last sums, and on the one behind.</summary>
internal sealed partial class StepTime
{
    private readonly Dictionary<(TurnKey Own, TurnKey? Before, TurnKey? Next), ActionTime> _turnTimes = new();
    private readonly Dictionary<ActionTime, ActionTime> _inFew = new(new Same());
    private readonly Dictionary<int, ImmutableArray<ActionTurn>> _turnsOf = new();
    private readonly Dictionary<int, Dictionary<int, int>> _turnPrograms = new();
    private readonly Dictionary<int, Part?> _tails = new();
    private bool? _isSpanning;

    /// <summary>What a rank does for an action beside another one.</summary>
    /// <param name="Stage">Stage of the action that it is of.</param>
    /// <param name="Owner">Tells its tickets from those of other stages.</param>
    /// <param name="Statements">What is done.</param>
    internal sealed record Hook(StageProgram Stage, string Owner, EquatableArray<ProgramStatement> Statements);

    /// <summary>What tells actions apart that may take different time.</summary>
    /// <param name="Program">Program of the stage.</param>
    /// <param name="Kind">What is done.</param>
    /// <param name="Stays">See <see cref="ActionTurn"/>.</param>
    /// <param name="Turns">The same.</param>
    /// <param name="Stage">Its stage, where several of the rank have the program.</param>
    private readonly record struct TurnKey(int Program, ActionKind Kind, bool Stays, bool Turns, int Stage);

    /// <summary>An action of a rank.</summary>
    internal sealed record TurnAction(StageProgram Stage, string Owner, Phase[] Phases, Func<RingFind, bool> Finds)
    {
        /// <summary>What is started for it beside the action before.</summary>
        public Hook Opening { get; } = new(Stage, Owner, Of(Stage, Phases).SelectMany(p => p.Opening).Where(s => s.Unless is not { } by || !Finds(by)).ToEquatable());

        /// <summary>What of it ends beside the next one.</summary>
        public Hook Closing { get; } = new(Stage, Owner, Of(Stage, Phases).SelectMany(p => p.Closing).ToEquatable());

        private static IEnumerable<PhasePlan> Of(StageProgram stage, Phase[] phases) => stage.Entries[0].Phases.Where(p => phases.Contains(p.Phase));
    }

    private sealed class Same : IEqualityComparer<ActionTime>
    {
        public bool Equals(ActionTime x, ActionTime y) => ReferenceEquals(x, y);

        public int GetHashCode(ActionTime time) => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(time);
    }

    /// <summary>Whether windows span the actions of the program.</summary>
    private bool IsSpanning => _isSpanning ??= _program.Order is not null && _program.Ranks.Count > 0 && _program.Stages.Any(s => s.Entries[0].Spans);

    /// <summary>The time of an action of a rank, by its position.</summary>
    private ActionTime Turn(int rank, int at, bool inFew = false)
    {
        EquatableArray<StageAction> actions = _program.Order!.Table.Ranks[rank];
        if (!_turnsOf.TryGetValue(rank, out ImmutableArray<ActionTurn> turns))
        {
            _turnsOf[rank] = turns = ActionTurn.Of(actions);
            _turnPrograms[rank] = _program.Ranks[rank].Chunks.ToDictionary(c => c.Stage, c => c.Program);
        }

        TurnKey? Key(int i) => i < 0 || i >= actions.Count ? null : new TurnKey(_turnPrograms[rank][actions[i].Stage], actions[i].Kind, turns[i].Stays, turns[i].Turns, actions[i].Stage);
        (TurnKey Own, TurnKey? Before, TurnKey? Next) key = (Key(at)!.Value, Key(at - 1), Key(at + 1));
        if (!_turnTimes.TryGetValue(key, out ActionTime? time))
        {
            TurnAction own = Make(key.Own);
            TurnAction? before = key.Before is { } b ? Make(b) : null, next = key.Next is { } n ? Make(n) : null;
            var walk = new ActionWalk(this, own.Stage);
            if (before is not null)
            {
                walk.Whole(before, null, null, own.Opening);
            }

            _turnTimes[key] = time = walk.Whole(own, before is null ? own.Opening : null, before?.Closing, next?.Opening);
            _tails[rank] = next is null ? walk.Tail(own.Closing) : _tails.TryGetValue(rank, out Part? tail) ? tail : null;
        }

        if (!inFew)
        {
            return time;
        }

        return _inFew.TryGetValue(time, out ActionTime? few) ? few : _inFew[time] = time.InFew();
    }

    private TurnAction Make(TurnKey key) => new(_program.Stages[key.Program], $"{key.Stage}:", PhasesOf(key.Kind), by => by == RingFind.Turns ? key.Turns : key.Stays);

    /// <summary>What a rank ends behind its last action: sums of gradients.</summary>
    private IEnumerable<SimulatedSpan> Tail(int rank)
    {
        Turn(rank, _program.Order!.Table.Ranks[rank].Count - 1);
        return _tails[rank]?.Spans ?? default;
    }

    /// <summary>The actions of a rank, those alike together.</summary>
    private List<Round> Turns(int rank) => Enumerable.Range(0, _program.Order!.Table.Ranks[rank].Count).Select(at => Turn(rank, at)).GroupBy(t => t, new Same()).Select(g => new Round(g.Count(), g.Key)).ToList();
}
