using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shardwright.Execution;

/// <summary>Work that is cut into numbered parts.</summary>
public interface IParallelBody
{
    /// <summary>Does one part.</summary>
    /// <param name="part">Number of the part.</param>
    /// <param name="thread">Number of the thread that does it, for its scratch.</param>
    void Run(int part, int thread);
}

/// <summary>The threads of one rank: the rank's own and persistent workers that wait briefly for the next job, then park. Which thread does which part
/// never shows in a result.</summary>
public sealed unsafe class ThreadTeam : IDisposable
{
    /// <summary>Scratch of one thread, bytes.</summary>
    public const int ScratchBytes = 2 << 20;

    private const int Spins = 2000;

    private readonly byte* _scratch;
    private readonly bool _owned;
    private readonly Thread[] _workers;
    private readonly SemaphoreSlim[] _wake;
    private readonly int[] _parked;
    private Job? _job;
    private volatile int _epoch;
    private volatile bool _stopped;
    private int _pending;
    private Exception? _error;

    /// <summary>A team whose scratch lies in a rank's arena.</summary>
    /// <param name="threads">Number of threads, the caller's own included.</param>
    /// <param name="scratch">threads × <see cref="ScratchBytes"/> of native memory, 64-byte aligned.</param>
    public ThreadTeam(int threads, ref byte scratch)
        : this(threads, (byte*)Unsafe.AsPointer(ref scratch), owned: false)
    {
    }

    private ThreadTeam(int threads, byte* scratch, bool owned)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _scratch = scratch;
        _owned = owned;
        _wake = new SemaphoreSlim[threads];
        _parked = new int[threads * 16];
        _workers = new Thread[threads - 1];
        for (int i = 1; i < threads; i++)
        {
            int thread = i;
            _wake[i] = new SemaphoreSlim(0);
            _workers[i - 1] = new Thread(() => Work(thread)) { IsBackground = true, Name = $"Shardwright worker {i}" };
            _workers[i - 1].Start();
        }
    }

    /// <summary>A team of the calling thread alone, for eager execution and tests; shared by all callers of one thread.</summary>
    public static ThreadTeam Single => t_single ??= Owning(1);

    [ThreadStatic]
    private static ThreadTeam? t_single;

    /// <summary>Number of threads.</summary>
    public int Threads { get; }

    /// <summary>A team with scratch of its own.</summary>
    public static ThreadTeam Owning(int threads) => new(threads, (byte*)NativeMemory.AlignedAlloc((nuint)threads * ScratchBytes, 64), owned: true);

    /// <summary>Scratch of a thread.</summary>
    public float* Scratch(int thread) => (float*)(_scratch + (long)thread * ScratchBytes);

    /// <summary>Does all parts; returns when the last is done.</summary>
    /// <exception cref="Exception">What the first failing part threw.</exception>
    public void Run<TBody>(int parts, TBody body)
        where TBody : struct, IParallelBody
    {
        if (Threads == 1 || parts <= 1)
        {
            for (int part = 0; part < parts; part++)
            {
                body.Run(part, 0);
            }

            return;
        }

        Job<TBody> job = Job<TBody>.Mine;
        job.Body = body;
        job.Parts = parts;
        job.Next = 0;
        _job = job;
        _error = null;
        Volatile.Write(ref _pending, Threads - 1);
        Interlocked.Increment(ref _epoch);
        for (int i = 1; i < Threads; i++)
        {
            if (Interlocked.Exchange(ref _parked[i * 16], 0) == 1)
            {
                _wake[i].Release();
            }
        }

        Do(job, 0);
        var spinner = default(SpinWait);
        while (Volatile.Read(ref _pending) != 0)
        {
            spinner.SpinOnce(sleep1Threshold: -1);
        }

        if (_error is { } error)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stopped)
        {
            return;
        }

        _stopped = true;
        Interlocked.Increment(ref _epoch);
        for (int i = 1; i < Threads; i++)
        {
            _wake[i].Release();
        }

        foreach (Thread worker in _workers)
        {
            worker.Join();
        }

        if (_owned)
        {
            NativeMemory.AlignedFree(_scratch);
        }
    }

    private void Do(Job job, int thread)
    {
        try
        {
            job.Run(thread);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref _error, error, null);
        }
    }

    private void Work(int thread)
    {
        int seen = 0;
        while (true)
        {
            for (int n = 0; _epoch == seen; n++)
            {
                if (n < Spins)
                {
                    Thread.SpinWait(8);
                    continue;
                }

                Volatile.Write(ref _parked[thread * 16], 1);
                Interlocked.MemoryBarrier();
                if (_epoch != seen && Interlocked.Exchange(ref _parked[thread * 16], 0) == 1)
                {
                    break;
                }

                _wake[thread].Wait();
                n = 0;
            }

            if (_stopped)
            {
                return;
            }

            seen++;
            Do(_job!, thread);
            Interlocked.Decrement(ref _pending);
        }
    }

    private abstract class Job
    {
        public int Parts;
        public int Next;

        public abstract void Run(int thread);
    }

    private sealed class Job<TBody> : Job
        where TBody : struct, IParallelBody
    {
        [ThreadStatic]
        private static Job<TBody>? t_mine;

        public TBody Body;

        /// <summary>One job object for each body type and starting thread, so that a step allocates nothing.</summary>
        public static Job<TBody> Mine => t_mine ??= new Job<TBody>();

        public override void Run(int thread)
        {
            for (int part = Interlocked.Increment(ref Next) - 1; part < Parts; part = Interlocked.Increment(ref Next) - 1)
            {
                Body.Run(part, thread);
            }
        }
    }
}
