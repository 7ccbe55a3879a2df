using System.Text;
using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>What a message carries.</summary>
public enum MessageKind
{
    /// <summary>What a stage hands to a later one.</summary>
    Activation,

    /// <summary>The gradient of that, on its way back.</summary>
    Gradient,
}

/// <summary>One message between two ranks: an edge, a direction, a micro-batch.</summary>
/// <param name="Edge">Position in the list of edges.</param>
/// <param name="Kind">What it carries.</param>
/// <param name="FromStage">Stage that makes it.</param>
/// <param name="ToStage">Stage that uses it.</param>
/// <param name="FromRank">Rank that sends.</param>
/// <param name="ToRank">Rank that receives.</param>
/// <param name="MicroBatch">Micro-batch.</param>
/// <param name="Bytes">Size.</param>
public sealed record PipelineMessage(int Edge, MessageKind Kind, int FromStage, int ToStage, int FromRank, int ToRank, int MicroBatch, long Bytes);

/// <summary>What a line of a rank's lowered program does.</summary>
public enum LoweredKind
{
    /// <summary>Runs a stage forward or backward.</summary>
    Compute,

    /// <summary>Hands the transport a buffer for a message that will come.</summary>
    StartReceive,

    /// <summary>Waits until the message is there.</summary>
    AwaitReceive,

    /// <summary>Hands a finished buffer to the transport.</summary>
    StartSend,

    /// <summary>Waits until the buffer may be written again.</summary>
    AwaitSend,

    /// <summary>Starts to gather the stage's parameters over the ZeRO axis.</summary>
    StartGather,

    /// <summary>Waits for the gathered parameters.</summary>
    AwaitGather,

    /// <summary>Starts to reduce gradients of the stage over the axes that split the batch.</summary>
    StartReduce,

    /// <summary>Waits for the reduced gradients.</summary>
    AwaitReduce,

    /// <summary>Sums the gradients of a parameter that several stages hold; Stage is the number of the group of stages.</summary>
    ReduceTied,

    /// <summary>Makes the loss of the last stage known to all ranks.</summary>
    ShareLoss,

    /// <summary>Sums the squares of the gradients over all ranks.</summary>
    ReduceNorm,

    /// <summary>The optimizer's update of all stages of the rank.</summary>
    Update,
}

/// <summary>One line of a rank's lowered program.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Action">For Compute: forward or which backward.</param>
/// <param name="Stage">Stage; −1 where it concerns none.</param>
/// <param name="MicroBatch">Micro-batch; −1 where it concerns all.</param>
/// <param name="Message">For sends and receives: position in the list of messages; else −1.</param>
public readonly record struct LoweredAction(LoweredKind Kind, ActionKind Action, int Stage, int MicroBatch, int Message)
{
    /// <summary>A line that runs an action.</summary>
    public static LoweredAction Compute(StageAction action) => new(LoweredKind.Compute, action.Kind, action.Stage, action.MicroBatch, -1);

    /// <summary>A line for a stage as a whole, or for one of its micro-batches.</summary>
    public static LoweredAction Of(LoweredKind kind, int stage = -1, int microBatch = -1) => new(kind, default, stage, microBatch, -1);
}

/// <summary>How a table is lowered.</summary>
/// <param name="ReceiveDepth">Actions between the posting of a receive and the one that uses it; 0 posts it directly ahead. More hides more of a message, for more buffers.</param>
/// <param name="SendDepth">Messages of one edge and direction that may be on their way before the sender waits for the oldest, 1 or more; buffers for them.</param>
/// <param name="ReduceEach">Gradients are reduced after each micro-batch, not once (ZeRO-2 and 3).</param>
/// <param name="GradientWindow">With <paramref name="ReduceEach"/>: unsharded gradients of a rank that may be alive at one time.</param>
/// <param name="GatherParameters">Parameters are gathered for each run of actions of one stage and direction (ZeRO-3).</param>
/// <param name="ShareLoss">The loss is told to all ranks at the end.</param>
/// <param name="ReduceNorm">The norm of all gradients is needed at the end.</param>
/// <param name="TiedStages">Groups of stages that hold one parameter together; their gradients are summed.</param>
public sealed record LoweringOptions(
    int ReceiveDepth = 1, int SendDepth = 2, bool ReduceEach = false, int GradientWindow = 1, bool GatherParameters = false, bool ShareLoss = true, bool ReduceNorm = false,
    EquatableArray<EquatableArray<int>> TiedStages = default);

/// <summary>A table with its messages and reductions: what each rank does, line by line.</summary>
/// <param name="Table">The order it comes from.</param>
/// <param name="Edges">What passes between stages.</param>
/// <param name="Messages">All messages between ranks; edges within a rank need none.</param>
/// <param name="Ranks">Lines of each rank.</param>
/// <param name="Options">How it was lowered.</param>
public sealed record LoweredPipeline(
    ActionTable Table, EquatableArray<StageEdge> Edges, EquatableArray<PipelineMessage> Messages, EquatableArray<EquatableArray<LoweredAction>> Ranks, LoweringOptions Options)
{
    /// <summary>A line as a reader knows it: <c>0F2</c>, <c>1RECV_F2</c>, <c>0SEND_F2</c>, <c>0REDUCE_GRAD</c>.</summary>
    public string Text(LoweredAction line)
    {
        var text = new StringBuilder();
        Append(text, line);
        return text.ToString();
    }

    /// <summary>Adds a line to a text: tables of large pipelines have hundreds of thousands.</summary>
    public void Append(StringBuilder text, LoweredAction line)
    {
        if (line.Kind is not (LoweredKind.ReduceTied or LoweredKind.ShareLoss or LoweredKind.ReduceNorm or LoweredKind.Update))
        {
            text.Append(line.Stage);
        }

        switch (line.Kind)
        {
            case LoweredKind.Compute:
                text.Append(StageAction.Letter(line.Action)).Append(line.MicroBatch);
                break;
            case LoweredKind.StartReceive:
                Message("RECV_");
                break;
            case LoweredKind.AwaitReceive:
                Message("WAIT_RECV_");
                break;
            case LoweredKind.StartSend:
                Message("SEND_");
                break;
            case LoweredKind.AwaitSend:
                Message("WAIT_SEND_");
                break;
            case LoweredKind.StartGather:
                text.Append("GATHER");
                break;
            case LoweredKind.AwaitGather:
                text.Append("WAIT_GATHER");
                break;
            case LoweredKind.StartReduce:
                MicroBatch("REDUCE_GRAD");
                break;
            case LoweredKind.AwaitReduce:
                MicroBatch("WAIT_REDUCE_GRAD");
                break;
            case LoweredKind.ReduceTied:
                text.Append("REDUCE_TIED_").Append(line.Stage);
                break;
            default:
                text.Append(line.Kind switch { LoweredKind.ShareLoss => "SHARE_LOSS", LoweredKind.ReduceNorm => "REDUCE_NORM", _ => "UPDATE" });
                break;
        }

        void Message(string word) => text.Append(word).Append(Messages[line.Message].Kind == MessageKind.Activation ? 'F' : 'B').Append(line.MicroBatch);

        void MicroBatch(string word)
        {
            text.Append(word);
            if (line.MicroBatch >= 0)
            {
                text.Append('_').Append(line.MicroBatch);
            }
        }
    }
}
