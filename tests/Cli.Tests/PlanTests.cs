using System.Reflection;
using System.Text.Json;
using System.Xml.Linq;

namespace Shardwright.Cli.Tests;

/// <summary><c>plan</c>: what is embedded, again; and other plans, without compilation.</summary>
public sealed class PlanTests
{
    private static readonly string s_gpt = typeof(TinyGpt.Gpt).Assembly.Location;
    private static readonly string s_own = typeof(PlanTests).Assembly.Location;

    public static TheoryData<string, Type, string> Meshes
    {
        get
        {
            var data = new TheoryData<string, Type, string>();
            foreach (Type model in new[] { typeof(TinyGpt.Gpt), typeof(Models.Net) })
            {
                foreach (Type mesh in model.GetNestedTypes().Where(t => t.Name.StartsWith("On", StringComparison.Ordinal)))
                {
                    data.Add(model.Assembly.Location, model, mesh.Name);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Meshes))]
    public void Without_overrides_it_is_the_embedded_plan(string path, Type model, string mesh)
    {
        (int code, string output, string error) = Tool.Run("plan", path, "--model", model.FullName!, "--mesh", mesh, "--json");
        Assert.Equal((0, ""), (code, error));
        Type nested = model.GetNestedType(mesh)!;
        string embedded = (string)nested.GetField("Document", BindingFlags.NonPublic | BindingFlags.Static)!.GetRawConstantValue()!;
        Assert.Equal(embedded, output.TrimEnd('\n'));
        Assert.Equal(nested.GetProperty("Plan")!.GetValue(null)!.ToString(), Tool.Run("plan", path, "--model", model.FullName!, "--mesh", mesh).Output);
    }

    [Fact]
    public void All_models_and_meshes_where_none_is_named()
    {
        string Meshes(params string[] more) => string.Join(" ", Tool.Json(["plan", s_gpt, .. more]).GetProperty("plans").EnumerateArray().Select(p => p.GetProperty("mesh").GetString()));
        string[] all = [.. typeof(TinyGpt.Gpt).GetCustomAttributes(inherit: false).Where(a => a.GetType().Name == "ShardedOnAttribute`1").Select(a => a.GetType().GetGenericArguments()[0].Name)];
        Assert.True(all.Length > 3);
        Assert.Equal(string.Join(" ", all), Meshes());
        Assert.Equal(string.Join(" ", all.Where(m => m.Contains("Tp", StringComparison.Ordinal))), Meshes("--axis", "tp=4"));
    }

    [Fact]
    public void Constants_of_the_model_change_every_size_that_follows_from_them()
    {
        JsonElement plan = Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2", "--set", "Hidden=256", "Layers=6", "--set", "Context=64");
        Assert.Equal([256, 1024], Logical(plan, "blocks.{0}.feedForward.up"));
        Assert.Equal([64, 256], Logical(plan, "positions.weight"));
        Assert.Equal(6, Parameter(plan, "blocks.{0}.feedForward.up").GetProperty("layers").GetInt32());
    }

    [Fact]
    public void Constants_of_layers_and_of_other_classes_are_named_in_full_or_by_their_end()
    {
        JsonElement plan = Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Mixer.Factor=5", "Shardwright.Cli.Tests.Models.Sizes.Rows=10");
        Assert.Equal([8, 20], Logical(plan, "mixer.up"));
        Assert.Equal([16, 8], Logical(Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Folded=16"), "mixer.up"));
        JsonElement usual = Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Factor=5");
        Assert.True(plan.GetProperty("flops").GetInt64() > 2 * usual.GetProperty("flops").GetInt64());
    }

    [Fact]
    public void Conditions_and_loops_on_constants_are_run_again()
    {
        JsonElement usual = Tool.Json("plan", s_own, "--mesh", "Lab"), rounds = Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Rounds=5"), gated = Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Gated=true");
        Assert.True(rounds.GetProperty("flops").GetInt64() > 1.5 * usual.GetProperty("flops").GetInt64());
        Assert.DoesNotContain("Sigmoid", usual.GetProperty("kernels").ToString(), StringComparison.Ordinal);
        Assert.Contains("Sigmoid", gated.GetProperty("kernels").ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Fractions_can_be_set()
    {
        JsonElement without = Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Rate=0");
        Assert.DoesNotContain("Dropout", without.GetProperty("kernels").ToString(), StringComparison.Ordinal);
        Assert.Contains("Dropout", Tool.Json("plan", s_own, "--mesh", "Lab", "--set", "Rate=0.5").GetProperty("kernels").ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Axes_and_micro_batches_change_what_a_rank_holds()
    {
        JsonElement plan = Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2", "--axis", "dp=4", "tp=8", "--micro-batches", "2");
        Assert.Equal("dp 4, tp 8", string.Join(", ", plan.GetProperty("axes").EnumerateArray().Select(a => $"{a.GetProperty("name")} {a.GetProperty("size")}")));
        Assert.Equal([128, 64], Parameter(plan, "blocks.{0}.feedForward.up").GetProperty("local").EnumerateArray().Select(n => n.GetInt32()));
        Assert.Equal(2, plan.GetProperty("microBatches").GetInt32());
        Assert.True(plan.GetProperty("memory").GetProperty("Activations").GetInt64() < Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2").GetProperty("memory").GetProperty("Activations").GetInt64() / 3);
    }

    [Fact]
    public void The_device_may_be_a_users_own_class()
    {
        long Workspace(params string[] more) => Tool.Json(["plan", s_own, "--mesh", "Lab", .. more]).GetProperty("memory").GetProperty("Workspace").GetInt64();
        Assert.Equal(16 * Workspace("--device", "Toaster"), 3 * Workspace());
        Assert.Equal(Workspace("--device", "Toaster"), Workspace("--device", "Shardwright.Cli.Tests.Models.Toaster"));
        Assert.Equal(Workspace("--device", "LocalCpu"), Workspace());
    }

    [Fact]
    public void A_device_brings_its_efficiencies()
    {
        double Step(string device) => Tool.Json("plan", s_own, "--model", "Shardwright.Cli.Tests.Models.Net", "--mesh", "OnDesk", "--device", device).GetProperty("stepSeconds").GetDouble();
        Assert.InRange(Step("MeasuredToaster") / Step("Toaster"), 9.9, 10.1);
    }

    [Fact]
    public void A_rank_class_has_memory_collectives_work_and_parameters()
    {
        JsonElement plan = Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2");
        JsonElement rank = Assert.Single(plan.GetProperty("ranks").EnumerateArray());
        Assert.Equal(plan.GetProperty("memory").ToString(), rank.GetProperty("memory").ToString());
        Assert.Equal(plan.GetProperty("totalBytes").GetInt64(), rank.GetProperty("memory").EnumerateObject().Sum(m => m.Value.GetInt64()));
        Assert.Equal(plan.GetProperty("flops").GetInt64(), rank.GetProperty("flops").GetInt64());
        Assert.Equal(
            plan.GetProperty("parameters").EnumerateArray().Sum(p => Math.Max(1, p.GetProperty("layers").GetInt64()) * p.GetProperty("local").EnumerateArray().Aggregate(1L, (a, b) => a * b.GetInt64())),
            rank.GetProperty("parameters").GetInt64());
        string[] always = ["op", "axis", "bytesPerRank", "times", "tensor", "where", "reason", "beside"];
        Assert.All(rank.GetProperty("collectives").EnumerateArray(), c => Assert.Equal(c.TryGetProperty("chunks", out _) ? [.. always, "chunks"] : always, c.EnumerateObject().Select(p => p.Name)));
        JsonElement sum = Assert.Single(rank.GetProperty("collectives").EnumerateArray(), c => c.GetProperty("tensor").GetString() == "feedForwardMatMul2");
        long chunks = sum.GetProperty("chunks").GetInt64();
        Assert.True(chunks > 1);
        Assert.Equal(512 << 10, chunks * sum.GetProperty("bytesPerRank").GetInt64());
        Assert.Equal(0, sum.GetProperty("times").GetInt64() % chunks);
    }

    [Fact]
    public void Zero_and_precision_change_what_a_parameter_takes()
    {
        long State(params string[] more)
        {
            JsonElement plan = Tool.Json(["plan", s_gpt, "--mesh", "Dp2Tp2", "--device", "H100", .. more]);
            return new[] { "Parameters", "Gradients", "OptimizerState" }.Sum(c => plan.GetProperty("memory").GetProperty(c).GetInt64());
        }

        Assert.Equal(State() / 16 * 12, State("--zero", "OptimizerState"));
        Assert.Equal(State() / 16 * 8, State("--zero", "Parameters:dp"));
        Assert.Equal(State() / 16 * 9, State("--zero", "Gradients", "--precision", "BFloat16Mixed"));
        Assert.Equal(State() / 16 * 18, State("--precision", "BFloat16MixedFloat32Gradients"));
        Assert.Equal(State() / 16 * 9, State("--zero", "Gradients", "--precision", "Float16Mixed"));
    }

    [Fact]
    public void Shapes_of_a_trillion_parameters_are_planned_in_numbers_of_64_bits()
    {
        JsonElement plan = Tool.Json("plan", s_gpt, "--mesh", "Dp2Tp2", "--set", "Hidden=25600", "Heads=160", "Layers=128", "Context=2048", "Batch=3072", "Vocab=51200", "--axis", "dp=64", "tp=8");
        double parameters = plan.GetProperty("parameters").EnumerateArray().Sum(p => Math.Max(1, p.GetProperty("layers").GetInt32()) * p.GetProperty("logical").EnumerateArray().Aggregate(1.0, (a, b) => a * b.GetInt64()));
        Assert.InRange(parameters, 1.0e12, 1.02e12);
        Assert.Equal(plan.GetProperty("totalBytes").GetInt64(), plan.GetProperty("memory").EnumerateObject().Sum(m => m.Value.GetInt64()));
    }

    [Theory]
    [InlineData(96, 12288, 96, 1536, "pp=8 dp=6 tp=8", 32)]
    [InlineData(128, 25600, 160, 3072, "pp=64 dp=6 tp=8", 512)]
    [InlineData(1024, 12288, 96, 1536, "pp=8 dp=6 tp=8", 32)]
    public void Many_layers_are_cut_into_micro_batches(int layers, int hidden, int heads, int batch, string axes, int microBatches)
    {
        JsonElement plan = Tool.Json([
            "plan", s_gpt, "--mesh", "Pp2Dp2Tp2", "--device", "A100With80GB", "--micro-batches", $"{microBatches}", "--set", $"Layers={layers}", $"Hidden={hidden}", $"Heads={heads}", $"Batch={batch}", "Context=2048", "Vocab=51200",
            "--axis", .. axes.Split(' ')]);
        Assert.Equal(microBatches, plan.GetProperty("microBatches").GetInt32());
        Assert.All(plan.GetProperty("ranks").EnumerateArray(), r => Assert.True(r.GetProperty("totalBytes").GetInt64() > 0));
    }

    [Fact]
    public void A_plan_that_does_not_fit_comes_with_changes_that_do()
    {
        string[] large = ["plan", s_gpt, "--mesh", "OnDp2", "--device", "Rtx4090", "--set", "Layers=24", "Hidden=1024", "Heads=16", "Context=1024", "Batch=64", "Vocab=32768"];
        JsonElement plan = Tool.Json(large);
        long usable = plan.GetProperty("usableBytes").GetInt64();
        Assert.Equal(23L << 30, usable);
        Assert.True(plan.GetProperty("totalBytes").GetInt64() > usable);
        JsonElement[] ways = [.. plan.GetProperty("waysOut").EnumerateArray()];
        Assert.True(ways.Length >= 2);
        string micro = ways.Select(w => w.GetProperty("change").GetString()!).First(c => c.StartsWith("MicroBatches = ", StringComparison.Ordinal))["MicroBatches = ".Length..];
        foreach (string[] change in new[] { ["--micro-batches", micro], (string[])["--recompute", "auto"] })
        {
            JsonElement again = Tool.Json([.. large, .. change]);
            Assert.InRange(again.GetProperty("totalBytes").GetInt64(), 1, usable);
            Assert.Empty(again.GetProperty("waysOut").EnumerateArray());
            Assert.Contains(ways, w => w.GetProperty("totalBytes").GetInt64() == again.GetProperty("totalBytes").GetInt64() && w.GetProperty("stepSeconds").GetDouble() == again.GetProperty("stepSeconds").GetDouble());
        }

        string text = Tool.Run(large).Output;
        Assert.Contains("Rtx4090: DOES NOT FIT", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split('\n').Count(l => l.Contains("would fit: ", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(16)]
    [InlineData(256)]
    public void Thirteen_billion_parameters_on_sixteen_small_devices_fit_as_proposed(int batch)
    {
        string[] large = ["plan", s_gpt, "--mesh", "OnDp2", "--axis", "dp=16", "--device", "Rtx4090", "--precision", "BFloat16Mixed", "--set", "Layers=40", "Hidden=5120", "Heads=40", "Context=2048", "Vocab=51200", $"Batch={batch}"];
        JsonElement plan = Tool.Json(large);
        Assert.True(plan.GetProperty("totalBytes").GetInt64() > 8 * plan.GetProperty("usableBytes").GetInt64());
        JsonElement[] ways = [.. plan.GetProperty("waysOut").EnumerateArray()];
        Assert.NotEmpty(ways);
        foreach (JsonElement way in ways)
        {
            // As it is written in the attribute: Zero = ZeroStage.Parameters, MicroBatches = 16.
            IEnumerable<string> options = way.GetProperty("change").GetString()!.Split(", ").SelectMany(change => new[]
            {
                change.Split(" = ")[0] switch { "Zero" => "--zero", "Recompute" => "--recompute", "MicroBatches" => "--micro-batches", string other => other },
                change.Split(" = ")[1].Split('.')[^1],
            });
            JsonElement again = Tool.Json([.. large, .. options]);
            Assert.InRange(again.GetProperty("totalBytes").GetInt64(), 1, plan.GetProperty("usableBytes").GetInt64());
            Assert.Equal(way.GetProperty("totalBytes").GetInt64(), again.GetProperty("totalBytes").GetInt64());
            Assert.Empty(again.GetProperty("waysOut").EnumerateArray());
        }
    }

    [Fact]
    public void The_live_bytes_of_a_step_are_drawn()
    {
        string file = Path.Combine(Path.GetTempPath(), $"shardwright-{Guid.NewGuid():N}.svg");
        try
        {
            JsonElement plan = Tool.Json("plan", s_gpt, "--mesh", "Pp2Dp2Tp2", "--svg", file);
            XNamespace svg = "http://www.w3.org/2000/svg";
            XDocument picture = XDocument.Load(file);
            JsonElement[] points = [.. plan.GetProperty("timeline").EnumerateArray()];
            Assert.Equal(points.Length, picture.Descendants(svg + "g").Count(g => (string?)g.Attribute("class") == "live"));
            Assert.Contains(picture.Descendants(svg + "title"), t => t.Value.StartsWith("0F0: ", StringComparison.Ordinal) || t.Value.StartsWith("1F0: ", StringComparison.Ordinal));
            Assert.Equal(plan.GetProperty("lowerBound").GetInt64(), points.Max(p => p.GetProperty("bytes").GetInt64()));
        }
        finally
        {
            File.Delete(file);
        }

        Assert.Contains("--svg draws one model on one mesh", Tool.Refusal(ExitCodes.Usage, "plan", s_gpt, "--svg", file), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--recompute", "some", "--recompute some: it is one of None, Selective, Full, Auto")]
    [InlineData("--zero", "4", "--zero 4: it is one of None, OptimizerState, Gradients, Parameters")]
    [InlineData("--precision", "fp8", "--precision fp8: it is one of Float32, BFloat16Mixed")]
    public void A_mode_that_does_not_exist_is_named(string option, string value, string part) =>
        Assert.Contains(part, Tool.Refusal(ExitCodes.Usage, "plan", s_gpt, "--mesh", "Tp2", option, value), StringComparison.Ordinal);

    private static JsonElement Parameter(JsonElement plan, string path) => plan.GetProperty("parameters").EnumerateArray().Single(p => p.GetProperty("path").GetString() == path);

    private static IEnumerable<int> Logical(JsonElement plan, string path) => Parameter(plan, path).GetProperty("logical").EnumerateArray().Select(n => n.GetInt32());
}
