using System.Reflection;
using System.Reflection.Emit;
using Shardwright.Execution;

namespace Shardwright.Benchmarks.Steps;

/// <summary>Time of each kernel of a rank. Wraps the emitted kernels of a model in a struct, made at run time, that takes the time of each call, and runs the
/// emitted program of the rank with it: the program itself is what it always is.</summary>
internal static class Profile
{
    private static double[] s_seconds = [];
    private static double s_start;
    private static int[] s_calls = [];

    /// <summary>A kernel's calls and seconds in one step.</summary>
    public readonly record struct Row(string Kernel, double Calls, double Seconds);

    /// <summary>For the emitted struct.</summary>
    public static void Begin() => s_start = Measure.Now();

    /// <summary>For the emitted struct.</summary>
    public static void End(int kernel)
    {
        s_seconds[kernel] += Measure.Now() - s_start;
        s_calls[kernel]++;
    }

    /// <summary>Runs steps of a rank, and returns the time of each kernel in one of them.</summary>
    public static Row[] Run(RankBase rank, TokenTensor ids, TokenTensor targets, AdamWSettings settings, int steps)
    {
        const BindingFlags Any = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;
        Type outer = rank.GetType().DeclaringType!, interfaceType = outer.GetNestedType("IKernels", Any)!, kernelsType = outer.GetNestedType("CpuKernels", Any)!;
        MethodInfo[] methods = interfaceType.GetMethods();
        Type profiled = Wrap(interfaceType, kernelsType, methods);
        object? Get(string name) => typeof(RankBase).GetProperty(name, Any)!.GetValue(rank);
        object kernels = Activator.CreateInstance(kernelsType, Get("Arena"), Get("Team"), Get("Random"), null)!, wrapped = Activator.CreateInstance(profiled)!;
        profiled.GetField("inner")!.SetValue(wrapped, kernels);
        Type stageType = outer.GetNestedType("Stage0`1", Any)!.MakeGenericType(profiled);
        object memory = rank.GetType().GetField("memory", Any)!.GetValue(null)!;
        object stage = Activator.CreateInstance(stageType, Any, null, [rank, Get("Arena"), wrapped, memory], null)!;
        var train = stageType.GetMethod("Train")!.CreateDelegate<Action<TokenTensor, TokenTensor, int>>(stage);
        var norm = stageType.GetMethod("SquaredNorm")!.CreateDelegate<Func<int, WideSum>>(stage);
        var update = stageType.GetMethod("Update")!.CreateDelegate<Action<float, AdamWSettings, int>>(stage);
        for (int step = -2; step < steps; step++)
        {
            if (step <= 0)
            {
                s_seconds = new double[methods.Length];
                s_calls = new int[methods.Length];
            }

            train(ids, targets, 0);
            _ = norm(0);
            update(1e-4f, settings, 100);
        }

        return [.. methods.Select((m, i) => new Row(m.Name, s_calls[i] / (double)steps, s_seconds[i] / steps)).Where(r => r.Calls > 0).OrderByDescending(r => r.Seconds)];
    }

    private static Type Wrap(Type interfaceType, Type kernelsType, MethodInfo[] methods)
    {
        // The name is that of the InternalsVisibleTo in Program.cs.
        ModuleBuilder module = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Profiled"), AssemblyBuilderAccess.Run).DefineDynamicModule("Profiled");
        TypeBuilder type = module.DefineType("Profiled", TypeAttributes.Public | TypeAttributes.Sealed | TypeAttributes.SequentialLayout, typeof(ValueType), [interfaceType]);
        FieldBuilder inner = type.DefineField("inner", kernelsType, FieldAttributes.Public);
        for (int i = 0; i < methods.Length; i++)
        {
            Type[] parameters = [.. methods[i].GetParameters().Select(p => p.ParameterType)];
            MethodBuilder method = type.DefineMethod(methods[i].Name, MethodAttributes.Public | MethodAttributes.Virtual | MethodAttributes.Final | MethodAttributes.HideBySig | MethodAttributes.NewSlot, methods[i].ReturnType, parameters);
            ILGenerator il = method.GetILGenerator();
            il.Emit(OpCodes.Call, typeof(Profile).GetMethod(nameof(Begin))!);
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Ldflda, inner);
            for (int p = 1; p <= parameters.Length; p++)
            {
                il.Emit(OpCodes.Ldarg, (short)p);
            }

            il.Emit(OpCodes.Call, kernelsType.GetMethod(methods[i].Name, parameters)!);
            il.Emit(OpCodes.Ldc_I4, i);
            il.Emit(OpCodes.Call, typeof(Profile).GetMethod(nameof(End))!);
            il.Emit(OpCodes.Ret);
            type.DefineMethodOverride(method, methods[i]);
        }

        return type.CreateType();
    }
}
