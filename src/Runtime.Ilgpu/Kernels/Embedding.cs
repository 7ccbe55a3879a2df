using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of embeddings.</summary>
/// <typeparam name="T">Element of table and rows.</typeparam>
public struct EmbeddingArguments<T>
    where T : unmanaged
{
    /// <summary>table [count, n], y or dy [rows, n].</summary>
    public ArrayView<T> Table, Y;

    /// <summary>Ids [rows]; the place of each among the sorted ones and back; where bad ids are noted.</summary>
    public ArrayView<int> Ids, Order, Status;

    /// <summary>Ids, length of a row, groups of four in it, first row of the table here, rows of it here and in all.</summary>
    public int Rows, N, Quads, Offset, Count, All;
}

/// <summary>Device code of embeddings. The gradient needs no atomics: ids are ranked by counting, then each run of equal ids is added in order by one group.</summary>
public static class EmbeddingKernels
{
    /// <summary>y = table[ids − offset], zeros for ids that lie on other ranks.</summary>
    public static void Gather<T>(EmbeddingArguments<T> a)
        where T : unmanaged
    {
        int row = Grid.IdxX, id = a.Ids[row], own = id - a.Offset;
        if (id < 0 | id >= a.All)
        {
            if (Group.IdxX == 0)
            {
                if (Atomic.CompareExchange(ref a.Status[0], 0, DeviceStatus.BadId) == 0)
                {
                    a.Status[1] = id;
                    a.Status[2] = row;
                    a.Status[3] = a.All;
                }
            }
        }

        ArrayView<T> y = a.Y.SubView((long)row * a.N, a.N);
        int here = 0;
        if (own >= 0 & own < a.Count)
        {
            here = 1;
        }

        long source = (long)(here != 0 ? own : 0) * a.N;
        ArrayView<T> table = a.Table.SubView(source, a.N);
        for (int q = Group.IdxX; q < a.Quads; q += Group.DimX)
        {
            Float4 value = default;
            if (here != 0)
            {
                value = Element.LoadQuad(table, q);
            }

            Element.StoreQuad(y, q, value);
        }

        for (int i = a.Quads * 4 + Group.IdxX; i < a.N; i += Group.DimX)
        {
            Element.Store(y, i, here != 0 ? Element.Load(table, i) : 0f);
        }
    }

    /// <summary>order[place of t] = t, by counting smaller ids and equal ones before it; ids pass through shared memory.</summary>
    public static void Rank<TGroup, T>(EmbeddingArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<int> tile = SharedMemory.Allocate<int>(TGroup.Threads);
        int t = Grid.IdxX * TGroup.Threads + Group.IdxX, id = int.MaxValue, place = 0;
        if (t < a.Rows)
        {
            id = a.Ids[t];
        }

        for (int start = 0; start < a.Rows; start += TGroup.Threads)
        {
            int u = start + Group.IdxX;
            tile[Group.IdxX] = u < a.Rows ? a.Ids[u] : int.MaxValue;
            Group.Barrier();
            int count = Math.Min(TGroup.Threads, a.Rows - start);
            for (int j = 0; j < count; j++)
            {
                int other = tile[j];
                if (other < id | (other == id & start + j < t))
                {
                    place++;
                }
            }

            Group.Barrier();
        }

        if (t < a.Rows)
        {
            a.Order[place] = t;
        }
    }

    /// <summary>table[id − offset] += Σ dy over the run of equal ids that begins at this group's place.</summary>
    public static void Scatter<T>(EmbeddingArguments<T> a)
        where T : unmanaged
    {
        int place = Grid.IdxX, id = a.Ids[a.Order[place]], own = id - a.Offset, first = 1;
        if (place > 0)
        {
            first = a.Ids[a.Order[place - 1]] == id ? 0 : 1;
        }

        if (first != 0 & own >= 0 & own < a.Count)
        {
            int end = place + 1, more = 1;
            while (more != 0)
            {
                more = 0;
                if (end < a.Rows)
                {
                    if (a.Ids[a.Order[end]] == id)
                    {
                        end++;
                        more = 1;
                    }
                }
            }

            long target = (long)own * a.N;
            for (int i = Group.IdxX; i < a.N; i += Group.DimX)
            {
                float sum = Element.Load(a.Table, target + i);
                for (int p = place; p < end; p++)
                {
                    sum += Element.Load(a.Y, (long)a.Order[p] * a.N + i);
                }

                Element.Store(a.Table, target + i, sum);
            }
        }
    }
}

/// <summary>Launches of <see cref="EmbeddingKernels"/>.</summary>
public static class Embedding
{
    /// <summary>y [rows, n] = table[ids − offset]; zeros for ids on other ranks.</summary>
    public static void Forward<T>(DeviceArena arena, int rows, int n, int offset, int count, int total, Slice<int> ids, Slice<T> table, Slice<T> y)
        where T : unmanaged =>
        arena.Launch(EmbeddingKernels.Gather<T>, Launches.Groups(arena, rows), new EmbeddingArguments<T>
        {
            Ids = arena.View(ids), Table = arena.View(table), Y = arena.View(y), Status = arena.View(arena.Status), Rows = rows, N = n, Quads = Launches.Quads(n, table.Offset | y.Offset), Offset = offset, Count = count, All = total,
        });

    /// <summary>dTable [count, n], overwritten; rows that share an id are added in rising order.</summary>
    public static void Backward<T>(DeviceArena arena, int rows, int n, int offset, int count, Slice<int> ids, Slice<T> dy, Slice<T> dTable)
        where T : unmanaged
    {
        arena.Clear(dTable);

        // Ids are ranked as many at a time as scratch holds; each chunk adds to what those before it have left.
        int most = (int)Math.Min(rows, arena.Scratch.Length / sizeof(int));
        for (int from = 0; from < rows; from += most)
        {
            int own = Math.Min(most, rows - from), threads = Launches.GroupThreads(arena);
            var arguments = new EmbeddingArguments<T>
            {
                Ids = arena.View(ids.Part(from, own)), Y = arena.View(dy.Part((long)from * n, (long)own * n)), Table = arena.View(dTable), Order = Launches.Scratch<int>(arena, own), Rows = own, N = n, Offset = offset, Count = count,
            };
            arena.Launch(Launches.Pick<EmbeddingArguments<T>>(arena, EmbeddingKernels.Rank<WarpGroup, T>, EmbeddingKernels.Rank<SharedGroup, T>, EmbeddingKernels.Rank<SmallGroup, T>), Launches.Groups(arena, (own + threads - 1) / threads), arguments);
            arena.Launch(EmbeddingKernels.Scatter<T>, Launches.Groups(arena, own), arguments);
        }
    }
}
