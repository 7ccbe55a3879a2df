using System.IO.Compression;
using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;

namespace Shardwright.Packages.Tests;

/// <summary>The packages as a user meets them: in a new project outside of this repository, with an empty cache.</summary>
public sealed class PackageTests(Workplace workplace) : IClassFixture<Workplace>
{
    private const string Model = """
        using Shardwright;
        using static Shardwright.Ops;

        namespace Consumer;

        [DeviceMesh(Device = typeof(Devices.LocalCpu))]
        public sealed class Alone;

        [DeviceMesh(Device = typeof(Devices.LocalCpu))]
        [MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
        public sealed class Pair;

        [ShardedOn<Alone>]
        [ShardedOn<Pair>]
        public sealed partial class Net
        {
            public const int Batch = 8, Width = 16, Hidden = 64;

            [Split("tp", dim: 1)] readonly Tensor up = Parameter(Width, Hidden);
            [Split("tp", dim: 0, Parameter = nameof(Shardwright.Linear.Weight))] readonly Linear down = new(Hidden, Width);

            public Tensor Loss([Shape(Batch, Width)] Tensor x) => Mean(Square(down.Forward(Gelu(MatMul(x, up))) - x));
        }
        """;

    private const string Program = """
        using System.Globalization;
        using Consumer;
        using Shardwright;

        Tensor x = Tensor.Of([.. Enumerable.Range(0, Net.Batch * Net.Width).Select(i => MathF.Sin(i))], Net.Batch, Net.Width);
        using (var world = World.InProcess(Net.OnAlone.Mesh))
        {
            world.Run(rank =>
            {
                using var net = new Net.OnAlone.Rank(rank, seed: 1);
                Train("alone", rank, s => net.TrainStep(x, s));
            });
        }

        using (var world = World.InProcess(Net.OnPair.Mesh))
        {
            world.Run(rank =>
            {
                using var net = new Net.OnPair.Rank(rank, seed: 1);
                Train("pair", rank, s => net.TrainStep(x, s));
            });
        }

        static void Train(string name, RankContext rank, Func<AdamWSettings, StepResult> step)
        {
            for (int i = 0; i < 60; i++)
            {
                double loss = step(new AdamWSettings(0.01f)).Loss;
                if (rank.Rank == 0)
                {
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name} {loss:F6}"));
                }
            }
        }
        """;

    [Fact]
    public void ThePackageHoldsTheCompilerAndNothingOfOthers()
    {
        (string file, string version) = workplace.Package("Shardwright");
        using ZipArchive package = ZipFile.OpenRead(file);
        string[] entries = [.. package.Entries.Select(e => e.FullName)];
        Assert.Equal(
            ["Shardwright.Analyzers.dll", "Shardwright.CodeFixes.dll", "Shardwright.Compiler.dll", "Shardwright.Generators.dll"],
            entries.Where(e => e.StartsWith("analyzers/", StringComparison.Ordinal)).Select(e => Regex.Replace(e, "^analyzers/dotnet/cs/", "")).Order());
        Assert.Equal(["lib/net10.0/Shardwright.Runtime.dll", "lib/net10.0/Shardwright.Runtime.xml"], entries.Where(e => e.StartsWith("lib/", StringComparison.Ordinal)).Order());
        Assert.Contains("buildTransitive/Shardwright.targets", entries);
        string nuspec = Read(package, "Shardwright.nuspec");
        Assert.Contains($"<version>{version}</version>", nuspec, StringComparison.Ordinal);
        Assert.Equal(["System.Numerics.Tensors"], Regex.Matches(nuspec, "<dependency id=\"([^\"]+)\"").Select(m => m.Groups[1].Value));
        Assert.Contains("summary>A tensor of", Read(package, "lib/net10.0/Shardwright.Runtime.xml"), StringComparison.Ordinal);
        foreach (ZipArchiveEntry assembly in package.Entries.Where(e => e.Name.EndsWith(".dll", StringComparison.Ordinal)))
        {
            using var bytes = new MemoryStream();
            using (Stream stream = assembly.Open())
            {
                stream.CopyTo(bytes);
            }

            using var reader = new PEReader(new MemoryStream(bytes.ToArray()));
            DebugDirectoryEntryType[] debug = [.. reader.ReadDebugDirectory().Select(d => d.Type)];
            Assert.True(debug.Contains(DebugDirectoryEntryType.EmbeddedPortablePdb), $"{assembly.Name} carries no symbols");
            Assert.True(debug.Contains(DebugDirectoryEntryType.Reproducible), $"{assembly.Name} is not deterministic");
        }
    }

    [Fact]
    public void EveryPackageHasAReadmeAnIconAndALicence()
    {
        string[] packages = Directory.GetFiles(workplace.Feed);
        Assert.Equal(["Shardwright", "Shardwright.Cli", "Shardwright.Templates"], packages.Select(p => Regex.Replace(Path.GetFileName(p), @"\.\d.*", "")).Order());
        foreach (string file in packages)
        {
            using ZipArchive package = ZipFile.OpenRead(file);
            string nuspec = Read(package, package.Entries.Single(e => e.Name.EndsWith(".nuspec", StringComparison.Ordinal)).FullName);
            Assert.Contains("<license type=\"expression\">MIT</license>", nuspec, StringComparison.Ordinal);
            Assert.Contains("<icon>icon.png</icon>", nuspec, StringComparison.Ordinal);
            Assert.Contains("<readme>README.md</readme>", nuspec, StringComparison.Ordinal);
            Assert.StartsWith("# Shardwright", Read(package, "README.md"), StringComparison.Ordinal);
            using Stream icon = package.GetEntry("icon.png")!.Open();
            byte[] signature = new byte[8];
            icon.ReadExactly(signature);
            Assert.Equal([0x89, .. "PNG\r\n"u8, 0x1A, (byte)'\n'], signature);
        }
    }

    /// <summary>One project, in the order of its life: it trains, a bad partition breaks its build, and so does a package that has lost a file.</summary>
    [Fact]
    public void AProjectOutsideTrainsAndABadPartitionBreaksItsBuild()
    {
        WriteProject("consumer");
        workplace.Write("consumer/Model.cs", Model);
        workplace.Write("consumer/Program.cs", Program);
        Outcome built = workplace.Build("consumer").Succeeds();
        Assert.DoesNotContain("warning", built.Output, StringComparison.Ordinal);
        Assert.True(Directory.Exists(Path.Combine(workplace.Cache, "shardwright")), "the package did not come from the cache that was empty");
        Outcome ran = workplace.Dotnet(workplace.Folder, "consumer/bin/Release/net10.0/consumer.dll").Succeeds();
        double[] alone = ran.Numbers("alone"), pair = ran.Numbers("pair");
        Assert.Equal(60, alone.Length);
        Assert.Equal(60, pair.Length);
        Assert.True(alone[^1] < 0.1 * alone[0], $"the loss went from {alone[0]} to {alone[^1]}");
        Assert.All(alone.Zip(pair), p => Assert.Equal(p.First, p.Second, 1e-4));

        workplace.Write("consumer/Model.cs", Model.Replace("Hidden = 64", "Hidden = 63", StringComparison.Ordinal));
        Outcome bad = workplace.Build("consumer", "--no-restore").Fails();
        string[] errors = [.. bad.Output.Split('\n').Where(l => l.Contains(": error ", StringComparison.Ordinal)).Select(l => l.Trim()).Distinct()];
        Assert.All(errors, e => Assert.Contains("error SW1003", e, StringComparison.Ordinal));
        Assert.Contains(errors, e => e.Contains("Model.cs(19,6)", StringComparison.Ordinal) && e.Contains("'up' is 63", StringComparison.Ordinal) && e.Contains("64 would", StringComparison.Ordinal));

        workplace.Write("consumer/Model.cs", Model);
        string compiler = Assert.Single(Directory.GetFiles(workplace.Cache, "Shardwright.Compiler.dll", SearchOption.AllDirectories));
        File.Move(compiler, compiler + ".lost");
        Outcome damaged = workplace.Build("consumer", "--no-restore");
        File.Move(compiler + ".lost", compiler);
        damaged.Fails();
        Assert.Matches("error (CS8784|CS8785|CS8032|AD0001|CS0006)", damaged.Output);
    }

    /// <summary>A server that has compiled a project keeps its generator alive: a later build meets what the first has left there.</summary>
    [Fact]
    public void LaterBuildsByOneCompilerServerSeeEachEdit()
    {
        WriteProject("edited");
        workplace.Write("edited/Model.cs", Model);
        workplace.Write("edited/Program.cs", "System.Console.WriteLine($\"width {Consumer.Net.Hidden} bytes {Consumer.Net.OnAlone.Plan.TotalBytes}\");");
        string log;
        try
        {
            string first = BuildAndRun();
            workplace.Write("edited/Model.cs", Model.Replace("Gelu(", "Relu(", StringComparison.Ordinal));
            BuildAndRun();
            workplace.Write("edited/Model.cs", Model.Replace("Hidden = 64", "Hidden = 63", StringComparison.Ordinal));
            Assert.Contains("error SW1003", workplace.BuildWithServer("edited", "--no-restore").Fails().Output, StringComparison.Ordinal);
            workplace.Write("edited/Model.cs", Model.Replace("Hidden = 64", "Hidden = 128", StringComparison.Ordinal));
            string wider = BuildAndRun("--no-restore");
            Assert.Contains("width 128", wider, StringComparison.Ordinal);
            Assert.True(Assert.Single(Bytes(wider)) > Assert.Single(Bytes(first)), $"twice the width and no more memory:\n{first}{wider}");
        }
        finally
        {
            log = workplace.EndServer();
        }

        // All four builds, by one process.
        Assert.Single(Regex.Matches(log, @"ID=VBCSCompiler (\d+) .*End edited").GroupBy(m => m.Groups[1].Value, (_, runs) => runs.Count()), 4);

        string BuildAndRun(params string[] more)
        {
            Outcome built = workplace.BuildWithServer("edited", more).Succeeds();
            Assert.DoesNotContain("warning", built.Output, StringComparison.Ordinal);
            return workplace.Dotnet(workplace.Folder, "edited/bin/Release/net10.0/edited.dll").Succeeds().Output;
        }

        static double[] Bytes(string output) => [.. Regex.Matches(output, "bytes ([0-9]+)").Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
    }

    [Fact]
    public void TheTemplateTrains()
    {
        (string file, _) = workplace.Package("Shardwright.Templates");
        string hive = Path.Combine(workplace.Folder, "hive");
        workplace.Dotnet(workplace.Folder, "new", "install", file, "--debug:custom-hive", hive).Succeeds();
        workplace.Dotnet(workplace.Folder, "new", "shardwright", "-o", "my-model", "--skipRestore", "--debug:custom-hive", hive).Succeeds();
        Assert.Contains($"Version=\"{workplace.Package("Shardwright").Version}\"", File.ReadAllText(Path.Combine(workplace.Folder, "my-model", "my-model.csproj")), StringComparison.Ordinal);
        Outcome built = workplace.Build("my-model").Succeeds();
        Assert.DoesNotContain("warning", built.Output, StringComparison.Ordinal);
        string program = Path.Combine(workplace.Folder, "my-model", "bin", "Release", "net10.0", "my-model.dll");
        double[] losses = workplace.Dotnet(workplace.Folder, program, "--steps", "200").Succeeds().Numbers("loss");
        Assert.True(losses[^1] < 0.5 * losses[0], $"the loss went from {losses[0]} to {losses[^1]}");
        double[] pair = workplace.Dotnet(workplace.Folder, program, "--steps", "1", "--mesh", "Pair").Succeeds().Numbers("loss");
        Assert.Equal(losses[0], Assert.Single(pair), 1e-3);
        // A project may have the name of one of its types: the guide's has.
        foreach (string name in new[] { "Spiral", "Classifier" })
        {
            workplace.Dotnet(workplace.Folder, "new", "shardwright", "-o", name, "--skipRestore", "--debug:custom-hive", hive).Succeeds();
            Assert.DoesNotContain("warning", workplace.Build(name).Succeeds().Output, StringComparison.Ordinal);
        }

        Assert.Contains("there are Laptop and Pair", workplace.Dotnet(workplace.Folder, program, "--mesh", "Trio").Fails().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void TheToolInstallsAndRuns()
    {
        string tools = Path.Combine(workplace.Folder, "tools");
        workplace.Dotnet(workplace.Folder, "tool", "install", "Shardwright.Cli", "--version", workplace.Package("Shardwright.Cli").Version, "--tool-path", tools, "--configfile", Path.Combine(workplace.Folder, "nuget.config")).Succeeds();
        string tool = Path.Combine(tools, OperatingSystem.IsWindows() ? "shardwright.exe" : "shardwright");
        Outcome signatures = workplace.Run(workplace.Folder, tool, "sbp", "MatMul", "--shapes", "4x8,8x6", "--json").Succeeds();
        Assert.Contains("\"op\":\"MatMul\"", signatures.Output.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("MatMul", workplace.Run(workplace.Folder, tool, "sbp", "MatMoll", "--shapes", "4x8,8x6").Fails().Output, StringComparison.Ordinal);
    }

    private void WriteProject(string name) => workplace.Write($"{name}/{name}.csproj", $"""
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup>
            <OutputType>Exe</OutputType>
            <TargetFramework>net10.0</TargetFramework>
            <Nullable>enable</Nullable>
            <ImplicitUsings>enable</ImplicitUsings>
          </PropertyGroup>
          <ItemGroup>
            <PackageReference Include="Shardwright" Version="{workplace.Package("Shardwright").Version}" />
          </ItemGroup>
        </Project>
        """);

    private static string Read(ZipArchive package, string entry)
    {
        using var reader = new StreamReader((package.GetEntry(entry) ?? throw new InvalidOperationException($"there is no {entry} in the package")).Open());
        return reader.ReadToEnd();
    }
}
