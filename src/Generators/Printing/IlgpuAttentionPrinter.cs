using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Generators.Printing;

/// <summary>Prints attention as streaming kernels: tiles of queries meet tiles of keys in shared memory, scores never leave it, backward computes them again. Each thread
/// holds four rows of scores and its columns of the result in registers; everything that depends on the width of a head is unrolled.</summary>
internal static class IlgpuAttentionPrinter
{
    private const long SharedBytes = 47 << 10;
    private static readonly string[] s_parts = { "X", "Y", "Z", "W" };

    /// <summary>Rows of threads, and columns of scores for each thread, from large to small.</summary>
    private static readonly (int Stride, int Columns)[] s_tiles = { (16, 4), (16, 2), (8, 4), (8, 2), (4, 2), (4, 1), (2, 1) };

    private sealed record Shape(DType Element, long Batch, long Heads, long KeyHeads, long PerKey, long Queries, long Keys, long Width, bool Causal, float Scale, bool Segments)
    {
        public long Quads => (Width + 3) / 4;

        public long Pitch => Quads + 1;

        public long Held => (Quads + 7) / 8;

        public long Shift => Keys - Queries;
    }

    public static void Call(IndentedWriter w, OpKernel k)
    {
        Shape s = Of(k);
        bool backward = k.Op is AttentionGradientOp;
        if (Tile(s, backward) is not { } tile)
        {
            w.Line($"throw new global::System.NotSupportedException(\"Attention heads of width {s.Width} do not fit into the shared memory of a group: kernels on accelerators take heads of up to 256.\");");
            return;
        }

        KernelTensor q = k.Tensors[0], key = k.Tensors[1];
        string R(int i) => k.Tensors[i].Name;
        string offset = q.Start[1].IsConstant ? "0" : key.Start[1].IsConstant ? Text.Offset(q.Start[1]) : "0";
        int outputs = k.InputCount;
        string segments = s.Segments ? $", Segments = arena.View({R(backward ? 6 : 3)})" : "";
        string vector = s.Width % 4 == 0 ? $"(({string.Join(" | ", k.Tensors.Where(t => t.Element != DType.Int32).Select(t => t.Name + ".Offset"))}) & 15) == 0 ? 1 : 0" : "0";
        w.Line($"var _arguments = new AttentionArguments<{Text.Element(q.Element)}>");
        w.Line("{");
        w.Line(backward
            ? $"    Q = arena.View({R(0)}), K = arena.View({R(1)}), V = arena.View({R(2)}), O = arena.View({R(3)}), LogSumExp = arena.View({R(4)}), DO = arena.View({R(5)}), DQ = arena.View({R(outputs)}), DK = arena.View({R(outputs + 1)}), DV = arena.View({R(outputs + 2)}){segments},"
            : $"    Q = arena.View({R(0)}), K = arena.View({R(1)}), V = arena.View({R(2)}), O = arena.View({R(outputs)}), LogSumExp = arena.View({R(outputs + 1)}){segments},");
        w.Line($"    HeadOffset = {offset}, Vector = {vector},");
        w.Line("};");
        if (!backward)
        {
            w.Line($"AttentionLaunches.Run(arena, {Forms(k, "Forward", tile.Stride)}, {tile.Stride}, {s.Queries}, {s.Heads}, {s.Batch}, _arguments);");
            return;
        }

        w.Line($"AttentionLaunches.Backward(arena, IlgpuDevice.{k.Name}Delta, {Forms(k, "Keys", tile.Stride)}, {Forms(k, "Queries", tile.Stride)}, {tile.Stride}, {s.Queries}, {s.Keys}, {s.Heads}, {s.KeyHeads}, {s.Batch}, _arguments);");
    }

    public static void Device(IndentedWriter w, OpKernel k)
    {
        Shape s = Of(k);
        bool backward = k.Op is AttentionGradientOp;
        if (Tile(s, backward) is not { } tile)
        {
            return;
        }

        if (backward)
        {
            Delta(w, k.Name, s);
            Backward(w, k.Name, s, tile.Columns, keys: true);
            Backward(w, k.Name, s, tile.Columns, keys: false);
        }
        else
        {
            Forward(w, k.Name, s, tile.Columns);
        }
    }

    private static Shape Of(OpKernel k)
    {
        KernelTensor q = k.Tensors[0], key = k.Tensors[1];
        (bool causal, float scale, bool segments) = k.Op is AttentionOp f ? (f.Causal, f.Scale, f.HasSegments) : k.Op is AttentionGradientOp b ? (b.Causal, b.Scale, b.HasSegments) : throw new InvalidOperationException(k.Op.Name);
        return new Shape(q.Element, q.Local[0], q.Local[1], key.Local[1], q.Logical[1] / key.Logical[1], q.Local[2], key.Local[2], q.Local[3], causal, scale, segments);
    }

    private static (int Stride, int Columns)? Tile(Shape s, bool backward)
    {
        foreach ((int stride, int columns) in s_tiles)
        {
            long rows = 4 * stride, tiles = backward ? (2 * rows + 16 * columns) * s.Pitch + 2 * rows * (2 * columns + 1) : (rows + 16 * columns) * s.Pitch + rows * (2 * columns + 1) + 8 * stride;
            if (16 * tiles <= SharedBytes && s.Held <= 8)
            {
                return (stride, columns);
            }
        }

        return null;
    }

    /// <summary>The forms of a kernel, in the order of <c>Launches.Pick</c>.</summary>
    private static string Forms(OpKernel k, string kind, int stride) =>
        $"Launches.Pick<AttentionArguments<{Text.Element(k.Tensors[0].Element)}>>(arena, IlgpuDevice.{k.Name}{kind}<Rows{stride}, WarpLanes>, IlgpuDevice.{k.Name}{kind}<Rows{stride}, SharedLanes>, IlgpuDevice.{k.Name}{kind}<Rows2, SharedLanes>)";

    private static void Head(IndentedWriter w, Shape s, string name)
    {
        w.Line($"public static void {name}<TRows, TLanes>(AttentionArguments<{Text.Element(s.Element)}> a)");
        w.Line("    where TRows : struct, IRows");
        w.Line("    where TLanes : struct, ILanes");
        w.Open();
        w.Line("int t = Group.IdxX, tx = t & 7, ty = t >> 3, batch = a.Batch0 + Grid.IdxZ;");
    }

    private static string Shared(string name, string size) => $"ArrayView<Float4> {name} = SharedMemory.Allocate<Float4>({size});";

    private static void Load(IndentedWriter w, Shape s, string tile, string source, string start, string first, string rows, long limit) =>
        w.Line($"AttentionTiles.Load({tile}, {source}, {start}, {first}, {rows}, {limit}, {s.Width}, {s.Quads}, 8 * TRows.Stride, a.Vector);");

    /// <summary>name_ij += row (ty + stride·i) of one tile · row (tx + 8·j) of another.</summary>
    private static void Dots(IndentedWriter w, Shape s, int columns, string name, string rows, string cols)
    {
        w.Line("float " + string.Join(", ", Pairs(columns).Select(p => $"{name}{p.I}{p.J} = 0f")) + ";");
        w.Open($"for (int d = 0; d < {s.Quads}; d++)");
        w.Line($"ArrayView<Float4> va = {rows}.SubView(ty * {s.Pitch} + d, 3 * TRows.Stride * {s.Pitch} + 1), vb = {cols}.SubView(tx * {s.Pitch} + d, {8 * (columns - 1) * s.Pitch + 1});");
        w.Line("Float4 " + string.Join(", ", Enumerable.Range(0, 4).Select(i => $"x{i} = va[{i} * TRows.Stride * {s.Pitch}]").Concat(Enumerable.Range(0, columns).Select(j => $"y{j} = vb[{8 * j * s.Pitch}]"))) + ";");
        foreach ((int i, int j) in Pairs(columns))
        {
            w.Line($"AttentionTiles.Dot(ref {name}{i}{j}, x{i}, y{j});");
        }

        w.Close();
    }

    /// <summary>name_ih += weights[ty + stride·i][c] · values[c][tx + 8·h] over the columns of a tile.</summary>
    private static void Accumulate(IndentedWriter w, Shape s, int columns, string name, string weights, string values)
    {
        w.Open($"for (int c = 0; c < {2 * columns}; c++)");
        w.Line($"ArrayView<Float4> vp = {weights}.SubView(ty * {2 * columns + 1} + c, 3 * TRows.Stride * {2 * columns + 1} + 1);");
        w.Line("Float4 " + string.Join(", ", Enumerable.Range(0, 4).Select(i => $"p{i} = vp[{i} * TRows.Stride * {2 * columns + 1}]")) + ";");
        for (int part = 0; part < 4; part++)
        {
            w.Open();
            for (int h = 0; h < s.Held; h++)
            {
                w.Line($"Float4 u{h} = default;");
                Guarded(w, s, h, $"u{h} = {values}[(c * 4 + {part}) * {s.Pitch} + tx + {8 * h}];");
            }

            for (int i = 0; i < 4; i++)
            {
                w.Line(string.Join(" ", Enumerable.Range(0, (int)s.Held).Select(h => $"AttentionTiles.Add(ref {name}{i}{h}, p{i}.{s_parts[part]}, u{h});")));
            }

            w.Close();
        }

        w.Close();
    }

    /// <summary>A line for the h-th quad of a thread, which may lie beyond the width.</summary>
    private static void Guarded(IndentedWriter w, Shape s, int h, string line)
    {
        if (8 * h + 7 < s.Quads)
        {
            w.Line(line);
            return;
        }

        w.Open($"if (tx + {8 * h} < {s.Quads})");
        w.Line(line);
        w.Close();
    }

    private static string Zeros(Shape s, string name) => "Float4 " + string.Join(", ", Enumerable.Range(0, 4).SelectMany(i => Enumerable.Range(0, (int)s.Held).Select(h => $"{name}{i}{h} = default"))) + ";";

    private static void StoreRow(IndentedWriter w, Shape s, string target, string start, string row, string factor, string name, int i)
    {
        for (int h = 0; h < s.Held; h++)
        {
            w.Line($"AttentionTiles.Store({target}, {start}, {row}, tx + {8 * h}, {s.Width}, a.Vector, {factor}, {name}{i}{h});");
        }
    }

    /// <summary>Whether a query sees a key.</summary>
    private static string Sees(Shape s, string query, string key)
    {
        string seen = $"{query} < {s.Queries} & {key} < {s.Keys}";
        return s.Causal ? $"{seen} & {key} <= {query} + {s.Shift}" : seen;
    }

    private static IEnumerable<(int I, int J)> Pairs(int columns) => Enumerable.Range(0, 4).SelectMany(i => Enumerable.Range(0, columns).Select(j => (i, j)));

    private static void Forward(IndentedWriter w, string name, Shape s, int columns)
    {
        int keys = 8 * columns, pitch = 2 * columns + 1;
        w.Line($"// {s.Queries} queries and {s.Keys} keys of width {s.Width}; a group takes 4 x TRows.Stride queries of a head and walks the keys, {keys} at a time; grid (tiles, heads, batches).");
        Head(w, s, name + "Forward");
        w.Line(Shared("sq", $"4 * TRows.Stride * {s.Pitch}"));
        w.Line(Shared("sk", $"{keys * s.Pitch}"));
        w.Line(Shared("sv", $"{keys * s.Pitch}"));
        w.Line(Shared("sp", $"4 * TRows.Stride * {pitch}"));
        w.Line(Shared("lanes", "8 * TRows.Stride"));
        w.Line("ArrayView<float> weights = sp.Cast<float>();");
        w.Line($"int q0 = Grid.IdxX * 4 * TRows.Stride, head = Grid.IdxY, keyHead = (a.HeadOffset + head) / {s.PerKey};");
        w.Line($"long rowsAt = ((long)batch * {s.Heads} + head) * {s.Queries}, keysAt = ((long)batch * {s.KeyHeads} + keyHead) * {s.Keys};");
        Load(w, s, "sq", "a.Q", $"rowsAt * {s.Width}", "q0", "4 * TRows.Stride", s.Queries);
        w.Line("Float4 max, sum = default;");
        w.Line("max.X = max.Y = max.Z = max.W = -1e30f;");
        w.Line(Zeros(s, "o"));
        w.Line(s.Causal ? $"int last = Math.Min({s.Keys}, q0 + 4 * TRows.Stride + {s.Shift});" : $"int last = {s.Keys};");
        w.Open($"for (int k0 = 0; k0 < last; k0 += {keys})");
        w.Line("Group.Barrier();");
        Load(w, s, "sk", "a.K", $"keysAt * {s.Width}", "k0", Text.Number(keys), s.Keys);
        Load(w, s, "sv", "a.V", $"keysAt * {s.Width}", "k0", Text.Number(keys), s.Keys);
        w.Line("Group.Barrier();");
        Dots(w, s, columns, "s", "sq", "sk");
        for (int i = 0; i < 4; i++)
        {
            w.Line($"int row{i} = q0 + ty + {i} * TRows.Stride;");
        }

        foreach ((int i, int j) in Pairs(columns))
        {
            Mask(w, s, $"row{i}", $"k0 + tx + {8 * j}", $"s{i}{j} = s{i}{j} * {Text.Float(s.Scale)};", $"s{i}{j} = -1e30f;");
        }

        w.Line("Float4 larger;");
        for (int i = 0; i < 4; i++)
        {
            w.Line($"larger.{s_parts[i]} = {Enumerable.Range(0, columns).Aggregate("max." + s_parts[i], (text, j) => $"MathF.Max({text}, s{i}{j})")};");
        }

        w.Line("larger = TLanes.Max(larger, lanes);");
        for (int i = 0; i < 4; i++)
        {
            string p = s_parts[i];
            w.Line($"float keep{i} = MathF.Exp(max.{p} - larger.{p});");
            w.Line($"max.{p} = larger.{p};");
            for (int j = 0; j < columns; j++)
            {
                w.Line($"s{i}{j} = s{i}{j} > -1e29f ? MathF.Exp(s{i}{j} - max.{p}) : 0f;");
                w.Line($"weights[(ty + {i} * TRows.Stride) * {4 * pitch} + tx + {8 * j}] = s{i}{j};");
            }

            w.Line($"sum.{p} = sum.{p} * keep{i} + ({string.Join(" + ", Enumerable.Range(0, columns).Select(j => $"s{i}{j}"))});");
            w.Line(string.Join(" ", Enumerable.Range(0, (int)s.Held).Select(h => $"AttentionTiles.Scale(ref o{i}{h}, keep{i});")));
        }

        w.Line("Group.Barrier();");
        Accumulate(w, s, columns, "o", "sp", "sv");
        w.Close();
        w.Line();
        w.Line("sum = TLanes.Sum(sum, lanes);");
        for (int i = 0; i < 4; i++)
        {
            string p = s_parts[i];
            w.Open();
            w.Line($"int row = q0 + ty + {i} * TRows.Stride;");
            w.Open($"if (row < {s.Queries})");
            w.Line($"float factor = sum.{p} > 0f ? 1f / sum.{p} : 0f;");
            StoreRow(w, s, "a.O", $"rowsAt * {s.Width}", "row", "factor", "o", i);
            w.Open("if (tx == 0)");
            w.Line($"a.LogSumExp[rowsAt + row] = sum.{p} > 0f ? max.{p} + MathF.Log(sum.{p}) : 1e30f; // a query that sees no key gets weights of 0 backward");
            w.Close();
            w.Close();
            w.Close();
        }

        w.Close();
        w.Line();
    }

    /// <summary>One of two lines, by whether a query sees a key.</summary>
    private static void Mask(IndentedWriter w, Shape s, string query, string key, string seen, string hidden)
    {
        w.Open($"if ({Sees(s, query, key)})");
        if (s.Segments)
        {
            w.Open($"if (a.Segments[(long)batch * {s.Queries} + {query}] == a.Segments[(long)batch * {s.Queries} + {key}])");
            w.Line(seen);
            w.Close();
            w.Open("else");
            w.Line(hidden);
            w.Close();
        }
        else
        {
            w.Line(seen);
        }

        w.Close();
        w.Open("else");
        w.Line(hidden);
        w.Close();
    }

    private static void Delta(IndentedWriter w, string name, Shape s)
    {
        w.Line("// delta = <o, dO> of each query of the batches of this launch.");
        w.Open($"public static void {name}Delta(AttentionArguments<{Text.Element(s.Element)}> a)");
        w.Open("for (long row = DeviceMath.Thread(); row < a.Delta.Length; row += DeviceMath.Threads())");
        w.Line($"long at = ((long)a.Batch0 * {s.Heads * s.Queries} + row) * {s.Width};");
        w.Line("float sum = 0f;");
        w.Open($"for (int d = 0; d < {s.Width}; d++)");
        w.Line($"sum += {IlgpuElementwisePrinter.LoadElement(s.Element, "a.O", "at + d")} * {IlgpuElementwisePrinter.LoadElement(s.Element, "a.DO", "at + d")};");
        w.Close();
        w.Line("a.Delta[row] = sum;");
        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>Gradients of keys and values: rows are keys, columns are queries of all heads that share them. Gradients of queries: rows are queries, columns are keys.</summary>
    private static void Backward(IndentedWriter w, string name, Shape s, int columns, bool keys)
    {
        int width = 8 * columns, pitch = 2 * columns + 1;
        string query = keys ? "c0 + tx + {j}" : "row{i}", key = keys ? "row{i}" : "c0 + tx + {j}";
        w.Line(keys
            ? $"// dk and dv: a group takes 4 x TRows.Stride keys and walks the queries of the heads that share them, {width} at a time, in order; grid (tiles, key heads, batches)."
            : $"// dq: a group takes 4 x TRows.Stride queries and walks the keys, {width} at a time; grid (tiles, heads, batches).");
        Head(w, s, name + (keys ? "Keys" : "Queries"));
        w.Line(Shared("rows", $"4 * TRows.Stride * {s.Pitch}"));
        w.Line(Shared("rowGradients", $"4 * TRows.Stride * {s.Pitch}"));
        w.Line(Shared("cols", $"{width * s.Pitch}"));
        w.Line(Shared("colGradients", $"{width * s.Pitch}"));
        w.Line(Shared("ss", $"4 * TRows.Stride * {pitch}"));
        w.Line("ArrayView<float> scores = ss.Cast<float>();");
        if (keys)
        {
            w.Line(Shared("sp", $"4 * TRows.Stride * {pitch}"));
            w.Line("ArrayView<float> weights = sp.Cast<float>();");
            w.Line("int r0 = Grid.IdxX * 4 * TRows.Stride, keyHead = Grid.IdxY;");
            w.Line($"long keysAt = ((long)batch * {s.KeyHeads} + keyHead) * {s.Keys};");
            Load(w, s, "rows", "a.K", $"keysAt * {s.Width}", "r0", "4 * TRows.Stride", s.Keys);
            Load(w, s, "rowGradients", "a.V", $"keysAt * {s.Width}", "r0", "4 * TRows.Stride", s.Keys);
            w.Line(Zeros(s, "dk"));
            w.Line(Zeros(s, "dv"));
            w.Line(s.Causal ? $"int first = Math.Max(0, r0 - {s.Shift}) / {width} * {width};" : "int first = 0;");
            w.Open($"for (int head = Math.Max(0, keyHead * {s.PerKey} - a.HeadOffset); head < Math.Min({s.Heads}, (keyHead + 1) * {s.PerKey} - a.HeadOffset); head++)");
            w.Line($"long rowsAt = ((long)batch * {s.Heads} + head) * {s.Queries}, deltaAt = ((long)Grid.IdxZ * {s.Heads} + head) * {s.Queries};");
            w.Open($"for (int c0 = first; c0 < {s.Queries}; c0 += {width})");
            w.Line("Group.Barrier();");
            Load(w, s, "cols", "a.Q", $"rowsAt * {s.Width}", "c0", Text.Number(width), s.Queries);
            Load(w, s, "colGradients", "a.DO", $"rowsAt * {s.Width}", "c0", Text.Number(width), s.Queries);
        }
        else
        {
            w.Line($"int r0 = Grid.IdxX * 4 * TRows.Stride, head = Grid.IdxY, keyHead = (a.HeadOffset + head) / {s.PerKey};");
            w.Line($"long rowsAt = ((long)batch * {s.Heads} + head) * {s.Queries}, deltaAt = ((long)Grid.IdxZ * {s.Heads} + head) * {s.Queries}, keysAt = ((long)batch * {s.KeyHeads} + keyHead) * {s.Keys};");
            Load(w, s, "rows", "a.Q", $"rowsAt * {s.Width}", "r0", "4 * TRows.Stride", s.Queries);
            Load(w, s, "rowGradients", "a.DO", $"rowsAt * {s.Width}", "r0", "4 * TRows.Stride", s.Queries);
            w.Line(Zeros(s, "dq"));
            w.Line(s.Causal ? $"int last = Math.Min({s.Keys}, r0 + 4 * TRows.Stride + {s.Shift});" : $"int last = {s.Keys};");
            w.Open($"for (int c0 = 0; c0 < last; c0 += {width})");
            w.Line("Group.Barrier();");
            Load(w, s, "cols", "a.K", $"keysAt * {s.Width}", "c0", Text.Number(width), s.Keys);
            Load(w, s, "colGradients", "a.V", $"keysAt * {s.Width}", "c0", Text.Number(width), s.Keys);
        }

        w.Line("Group.Barrier();");
        Dots(w, s, columns, "s", "rows", "cols");
        Dots(w, s, columns, "g", "rowGradients", "colGradients");
        for (int i = 0; i < 4; i++)
        {
            w.Line($"int row{i} = r0 + ty + {i} * TRows.Stride;");
        }

        foreach ((int i, int j) in Pairs(columns))
        {
            string Name(string text) => text.Replace("{i}", Text.Number(i)).Replace("{j}", Text.Number(8 * j));
            string at = $"(ty + {i} * TRows.Stride) * {4 * pitch} + tx + {8 * j}";
            w.Line($"float w{i}{j} = 0f, e{i}{j} = 0f;");
            Mask(w, s, Name(query), Name(key), $"w{i}{j} = MathF.Exp(s{i}{j} * {Text.Float(s.Scale)} - a.LogSumExp[rowsAt + {Name(query)}]); e{i}{j} = w{i}{j} * (g{i}{j} - a.Delta[deltaAt + {Name(query)}]);", $"w{i}{j} = 0f;");
            w.Line($"scores[{at}] = e{i}{j};" + (keys ? $" weights[{at}] = w{i}{j};" : ""));
        }

        w.Line("Group.Barrier();");
        if (keys)
        {
            Accumulate(w, s, columns, "dv", "sp", "colGradients");
            Accumulate(w, s, columns, "dk", "ss", "cols");
            w.Close();
            w.Close();
        }
        else
        {
            Accumulate(w, s, columns, "dq", "ss", "cols");
            w.Close();
        }

        w.Line();
        for (int i = 0; i < 4; i++)
        {
            w.Open($"if (r0 + ty + {i} * TRows.Stride < {(keys ? s.Keys : s.Queries)})");
            string row = $"r0 + ty + {i} * TRows.Stride";
            if (keys)
            {
                StoreRow(w, s, "a.DK", $"keysAt * {s.Width}", row, Text.Float(s.Scale), "dk", i);
                StoreRow(w, s, "a.DV", $"keysAt * {s.Width}", row, "1f", "dv", i);
            }
            else
            {
                StoreRow(w, s, "a.DQ", $"rowsAt * {s.Width}", row, Text.Float(s.Scale), "dq", i);
            }

            w.Close();
        }

        w.Close();
        w.Line();
    }
}
