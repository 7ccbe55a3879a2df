using System.Reflection;
using System.Reflection.Emit;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Cli.Tests;

/// <summary>What <c>plan</c> refuses: one line that says which, and what is allowed.</summary>
public sealed class PlanRefusalTests : IDisposable
{
    private static readonly string s_gpt = typeof(TinyGpt.Gpt).Assembly.Location;
    private static readonly string s_own = typeof(PlanTests).Assembly.Location;

    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-cli").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(2, "--model Foo", "has no model 'Foo': models are TinyGpt.Gpt")]
    [InlineData(2, "--mesh Dp3", "no mesh 'Dp3' carries 'Gpt': did you mean 'Dp2'")]
    [InlineData(2, "--mesh Tp2 --set Hiden=3", "did you mean 'Hidden'? constants are Batch, Context, Heads, Hidden, Layers, Vocab")]
    [InlineData(2, "--mesh Tp2 --set Hidden", "--set takes name=value, and got 'Hidden'")]
    [InlineData(2, "--mesh Tp2 --set Hidden=many", "--set Hidden=many: it is a whole number")]
    [InlineData(2, "--mesh Tp2 --set Hidden=1.5", "--set Hidden=1.5: it is a whole number")]
    [InlineData(2, "--mesh Tp2 --set Hidden=99999999999999999999", "it is a whole number, from -9223372036854775808 to 9223372036854775807")]
    [InlineData(1, "--mesh Tp2 --set Hidden=0", "no plan of Gpt on Tp2 with Hidden = 0: SW0003: a size in 'Embedding' is 0: sizes are 1 or more")]
    [InlineData(1, "--mesh Tp2 --set Vocab=-5", "a size in 'Embedding' is -5: sizes are 1 or more")]
    [InlineData(1, "--mesh Tp2 --set Heads=0", "with Heads = 0: SW0004: 128 is divided by zero here")]
    [InlineData(1, "--mesh Tp2 --set Hidden=1000000000", "a rank would need more than 2^63 bytes")]
    [InlineData(1, "--mesh Tp2 --set Batch=2000000000 Context=2000000000", "overflow")]
    [InlineData(1, "--mesh Tp2 --set Layers=2000000000", "stack 'blocks' has 2000000000 layers: a stack has at most 10000")]
    [InlineData(2, "--mesh Tp2 --axis dp=2", "--axis dp: mesh 'Tp2' has no such axis: did you mean 'tp'? its axes are tp")]
    [InlineData(2, "--axis zz=2", "no mesh has the axis 'zz'")]
    [InlineData(2, "--mesh Tp2 --axis tp=0", "--axis tp=0: it is a whole number from 1 to 2147483647")]
    [InlineData(2, "--mesh Tp2 --axis tp=-2", "--axis tp=-2: it is a whole number")]
    [InlineData(2, "--mesh Tp2 --axis tp=99999999999", "--axis tp=99999999999: it is a whole number")]
    [InlineData(2, "--mesh Dp2Tp2 --axis dp=100000 tp=100000", "these sizes make 10000000000 ranks")]
    [InlineData(1, "--mesh Tp2 --axis tp=3", "SW1003: dim 0 of 'tokens.weight' is 256, which axis 'tp' (3) does not divide; 258 would")]
    [InlineData(2, "--mesh Tp2 --device H1000", "did you mean 'H100'")]
    [InlineData(2, "--mesh Tp2 --micro-batches 0", "--micro-batches 0: it is a whole number from 1")]
    [InlineData(2, "--mesh Tp2 --micro-batches four", "--micro-batches four: it is a whole number from 1")]
    [InlineData(1, "--mesh Dp2Tp2 --zero Gradients:xp", "'Dp2Tp2' has no axis 'xp', which ZeroAxis of 'Gpt' names: it has 'dp', 'tp'")]
    [InlineData(1, "--mesh Dp2Tp2 --precision BFloat16Mixed", "its device 'LocalCpu' does not compute in bf16")]
    [InlineData(1, "--mesh Dp2Tp2 --device V100 --precision BFloat16Mixed", "its device 'V100' does not compute in bf16 (its Bf16TFlops is 0); use Precision.Float32, Precision.Float16Mixed (it computes in fp16)")]
    [InlineData(1, "--mesh Tp2 --micro-batches 3", "the batch of 'Gpt' is 16, which MicroBatches = 3 does not divide: use 2")]
    public void Nonsense_is_named(int code, string options, string part) =>
        Assert.Contains(part, Tool.Refusal(code, ["plan", s_gpt, .. options.Split(' ')]), StringComparison.Ordinal);

    [Theory]
    [InlineData("Bits=4", "--set Bits: the graph of 'Net' holds only its value (3), which became fixed when it was compiled; free constants are ")]
    [InlineData("Slope=0.1", "--set Slope: the graph of 'Mixer' holds only its value (0.5)")]
    [InlineData("Gated=maybe", "--set Gated=maybe: it is true or false")]
    [InlineData("Rate=NaN", "--set Rate=NaN: it is a finite number")]
    public void Constants_that_became_fixed_are_refused_by_name(string set, string part) =>
        Assert.Contains(part, Tool.Refusal(ExitCodes.Usage, "plan", s_own, "--mesh", "Lab", "--set", set), StringComparison.Ordinal);

    [Fact]
    public void A_mesh_that_stands_twice_on_a_model_is_asked_for_by_its_class() =>
        Assert.Contains("name the nested class, OnDesk or OnDeskAgain", Tool.Refusal(ExitCodes.Usage, "plan", s_own, "--mesh", "Shardwright.Cli.Tests.Models.Desk"), StringComparison.Ordinal);

    [Fact]
    public void A_file_that_is_no_assembly_is_named()
    {
        string text = Path.Combine(_folder, "text.dll"), empty = Path.Combine(_folder, "empty.dll"), cut = Path.Combine(_folder, "cut.dll");
        File.WriteAllText(text, "this is no assembly");
        File.WriteAllBytes(empty, []);
        File.WriteAllBytes(cut, File.ReadAllBytes(s_gpt)[..5000]);
        foreach (string path in new[] { text, empty, cut })
        {
            Assert.Contains($"'{path}' is no .NET assembly", Tool.Refusal(ExitCodes.BadFile, "plan", path), StringComparison.Ordinal);
        }

        Assert.Contains("there is no file", Tool.Refusal(ExitCodes.BadFile, "plan", Path.Combine(_folder, "none.dll")), StringComparison.Ordinal);
        Assert.Contains("is a folder", Tool.Refusal(ExitCodes.BadFile, "plan", _folder), StringComparison.Ordinal);
        Assert.Contains("Required argument missing", Tool.Refusal(ExitCodes.Usage, "plan"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_assembly_never_ends_in_a_fault()
    {
        byte[] image = File.ReadAllBytes(s_own);
        var random = new Random(5);
        for (int i = 0; i < 40; i++)
        {
            byte[] damaged = (byte[])image.Clone();
            for (int j = 0; j < 200; j++)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            string path = Path.Combine(_folder, $"damaged{i}.dll");
            File.WriteAllBytes(path, damaged);
            (int code, _, string error) = Tool.Run("plan", path, "--mesh", "Lab");
            Assert.True(code is 0 or 1 or 2 or 3, $"seed 5, file {i}: {error}");
        }
    }

    [Fact]
    public void An_assembly_without_a_model_says_what_it_has()
    {
        string refusal = Tool.Refusal(ExitCodes.BadFile, "plan", typeof(Tensor).Assembly.Location);
        Assert.Contains("has no model: none of its classes carries [ShardedOn<…>]; it has the layers Shardwright.", refusal, StringComparison.Ordinal);
        Assert.Contains("has no model", Tool.Refusal(ExitCodes.BadFile, "plan", typeof(object).Assembly.Location), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("99;99;(ModelDefinition x)", "needs a newer tool: it was written in format 99, for readers of format 99 or newer, and this is a reader of format")]
    [InlineData("2;2;(ModelDefinition (LayerDef", "cannot be read: it is damaged")]
    [InlineData("1;1;(LayerDefinition \"Some.Model, Made\" [] [] [] [] 0 0)", "left no meshes in its graph: build it again")]
    [InlineData(null, "has no graph: that project was built without the Shardwright generator")]
    public void A_graph_that_cannot_be_read_is_named(string? graph, string part)
    {
        string path = Path.Combine(_folder, "Made.dll");
        var builder = new PersistedAssemblyBuilder(new AssemblyName("Made"), typeof(object).Assembly);
        TypeBuilder type = builder.DefineDynamicModule("Made").DefineType("Some.Model", TypeAttributes.Public);
        type.SetCustomAttribute(new CustomAttributeBuilder(typeof(ShardedOnAttribute<Models.Desk>).GetConstructor([])!, []));
        if (graph is not null)
        {
            type.SetCustomAttribute(new CustomAttributeBuilder(typeof(ShardwrightGraphAttribute).GetConstructor([typeof(string)])!, [graph]));
        }

        type.CreateType();
        builder.Save(path);
        string refusal = Tool.Refusal(ExitCodes.BadFile, "plan", path);
        Assert.Contains("'Some.Model'", refusal, StringComparison.Ordinal);
        Assert.Contains(part, refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_of_an_assembly_that_is_missing_is_named()
    {
        string path = Path.Combine(_folder, Path.GetFileName(s_gpt));
        File.Copy(s_gpt, path);
        Assert.Contains("which lies neither beside", Tool.Refusal(ExitCodes.BadFile, "plan", path), StringComparison.Ordinal);
        File.Copy(typeof(Tensor).Assembly.Location, Path.Combine(_folder, Path.GetFileName(typeof(Tensor).Assembly.Location)));
        Assert.Equal(ExitCodes.Success, Tool.Run("plan", path).Code);
    }

    [Fact]
    public void A_graph_of_an_older_format_is_read()
    {
        DefinitionText.Result read = DefinitionText.Read("1;1;(LayerDefinition \"My.Layer, My\" [] [(ConstantDefinition \"Width\" ~ 8 1)] [] [] 0 0)");
        Assert.Equal(new ConstantDefinition("Width", null, 8, true), Assert.Single(read.Definition!.Constants));
        Assert.Null(read.Model);
    }
}
