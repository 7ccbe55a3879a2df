using System.Collections;
using System.Reflection;
using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Generators;

namespace Shardwright.Compiler.Tests.Incremental;

/// <summary>What travels through the pipeline, or is kept between compilations, is data: no object of Roslyn anywhere in it, and equal content is equal.</summary>
public sealed class PurityTests
{
    [Fact]
    public void NoObjectOfAPipelineStepComesFromRoslyn()
    {
        var bench = new Workbench();
        object[] values = [.. TrackingNames.All.SelectMany(n => bench.Result.TrackedSteps[n]).SelectMany(s => s.Outputs).Select(o => o.Value)];
        Assert.Contains(values, v => v is PlannedMesh { Program: not null });
        Walk(values);
        Walk([.. CompilationLayers.Of(bench.Compilation, default).All]);
    }

    /// <summary>Every type that a model of the pipeline can hold: a sealed record, an equatable array of such, or a plain value.</summary>
    [Fact]
    public void EveryTypeOfThePipelineComparesByContent()
    {
        var seen = new HashSet<Type>();
        var queue = new Queue<Type>([typeof(LayerSource), typeof(LayerPlace), typeof(LinkedModel), typeof(PlannedMesh), typeof(Extraction), typeof(Finding)]);
        while (queue.Count > 0)
        {
            Type type = queue.Dequeue();
            if (!seen.Add(type) || type.IsPrimitive || type.IsEnum || type == typeof(string))
            {
                continue;
            }

            if (type.IsGenericType && (type.GetGenericTypeDefinition() == typeof(EquatableArray<>) || type.Name.StartsWith("ValueTuple`", StringComparison.Ordinal) || type.GetGenericTypeDefinition() == typeof(Nullable<>)))
            {
                foreach (Type argument in type.GetGenericArguments())
                {
                    queue.Enqueue(argument);
                }

                continue;
            }

            Assert.True(type.Namespace?.StartsWith("Shardwright", StringComparison.Ordinal) == true, $"{type} is carried by the pipeline");
            bool record = type.GetMethod("PrintMembers", BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly) is not null;
            Assert.True(record && (type.IsSealed || type.IsAbstract), $"{type} is no sealed record");
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public))
            {
                queue.Enqueue(field.FieldType);
            }

            foreach (Type derived in type.Assembly.GetTypes().Where(t => t != type && t.IsSubclassOf(type)))
            {
                queue.Enqueue(derived);
            }
        }

        Assert.Contains(typeof(Expression.OpCall), seen);
    }

    [Fact]
    public void TwoExtractionsOfOneSourceAreEqual()
    {
        var first = new Workbench();
        var second = new Workbench();
        string Text(Workbench b) => string.Join("\n", CompilationLayers.Of(b.Compilation, default).Sources.Select(s => s.ToString())).Replace(b.Compilation.AssemblyName!, "A", StringComparison.Ordinal);
        Assert.Equal(Text(first), Text(second));
        Extraction one = CompilationLayers.Of(first.Compilation, default).Find("My.Dense")!;
        Assert.Equal(one, LayerExtractor.Extract(first.Compilation.GetTypeByMetadataName("My.Dense")!, first.Compilation, default));
    }

    private static void Walk(IEnumerable<object> roots)
    {
        var seen = new HashSet<object>(ReferenceEqualityComparer.Instance);
        var queue = new Queue<(object Value, string Path)>(roots.Select(r => (r, r.GetType().Name)));
        while (queue.Count > 0)
        {
            (object value, string path) = queue.Dequeue();
            Type type = value.GetType();
            if (type.IsPrimitive || type.IsEnum || value is string || (!type.IsValueType && !seen.Add(value)))
            {
                continue;
            }

            Assert.False(
                value is ISymbol or SyntaxNode or SyntaxTree or Compilation or Location or SemanticModel or IOperation || type.Namespace?.StartsWith("Microsoft.CodeAnalysis", StringComparison.Ordinal) == true,
                $"{path} holds a {type.Name}");
            if (value is IEnumerable items)
            {
                foreach (object? item in items)
                {
                    if (item is not null)
                    {
                        queue.Enqueue((item, path + "[]"));
                    }
                }

                continue;
            }

            for (Type? t = type; t is not null && t != typeof(object); t = t.BaseType)
            {
                foreach (FieldInfo field in t.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly))
                {
                    if (field.GetValue(value) is { } inner)
                    {
                        queue.Enqueue((inner, path + "." + field.Name));
                    }
                }
            }
        }
    }
}
