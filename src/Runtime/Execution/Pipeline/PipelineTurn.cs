using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>What an action does for its neighbours in the rank's table, beside its own kernels: it starts to gather what the next one reads first, and ends the sums that the one before has left under way.
/// Emitted code says where; each is done once in an action, at its end at the latest.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class PipelineTurn
{
    private IPipelineStage?[] _stages = [];
    private PipelineActions? _table;
    private PipelineEntry _entry;
    private int _first;
    private int _at;
    private bool _started;
    private bool _ended;

    /// <summary>Starts to gather what the next action reads first.</summary>
    public void StartNext()
    {
        if (!_started)
        {
            _started = true;
            Open(_at + 1);
        }
    }

    /// <summary>Ends the sums that the action before has left under way.</summary>
    public void EndPrevious()
    {
        if (!_ended)
        {
            _ended = true;
            Close(_at - 1);
        }
    }

    /// <summary>A table begins: nothing comes before its first action.</summary>
    internal void Begin(IPipelineStage?[] stages, PipelineEntry entry, PipelineActions table, int first)
    {
        (_stages, _entry, _table, _first, _at) = (stages, entry, table, first, -1);
        Open(0);
    }

    /// <summary>An action begins.</summary>
    internal void Enter()
    {
        _at++;
        _started = _ended = false;
    }

    /// <summary>An action ends.</summary>
    internal void Leave()
    {
        EndPrevious();
        StartNext();
    }

    /// <summary>A table ends: nothing follows its last action.</summary>
    internal void End() => Close(_at);

    private void Open(int run)
    {
        if (run < _table!.Runs.Length)
        {
            PipelineAction action = _table.Actions[_table.Runs[run]];
            _stages[action.Stage]!.Open(_entry, action.Phase, _table.Turns[run]);
        }
    }

    private void Close(int run)
    {
        if (run >= 0)
        {
            PipelineAction action = _table!.Actions[_table.Runs[run]];
            _stages[action.Stage]!.Close(_entry, action.Phase, _first + action.MicroBatch, _table.Turns[run]);
        }
    }
}
