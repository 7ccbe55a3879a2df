using System.Buffers.Binary;
using System.Reflection;
using System.Reflection.Emit;

namespace ILGPU;

/// <summary>Refuses kernels that ILGPU refuses, or compiles to something wrong: everything that a kernel can reach is read instruction by instruction, generic calls as they
/// resolve. What is not known to work on a GPU is not allowed.</summary>
internal static class KernelVerifier
{
    private static readonly Dictionary<short, OpCode> s_codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => (OpCode)f.GetValue(null)!).ToDictionary(c => c.Value);

    /// <summary>Functions of the framework that have a right form on every accelerator; XMath's through EnableAlgorithms.</summary>
    private static readonly HashSet<string> s_functions =
    [
        "MathF.Abs", "MathF.Exp", "MathF.Log", "MathF.Max", "MathF.Min", "MathF.Sqrt", "MathF.Sin", "MathF.Cos", "MathF.Floor",
        "Math.Abs", "Math.Exp", "Math.Log", "Math.Max", "Math.Min", "Math.Sqrt", "Math.Floor",
    ];

    private static readonly HashSet<string> s_device = ["Grid", "Group", "Warp", "SharedMemory", "Interop", "Atomic", "ArrayView`1", "Index1D", "Index3D"];

    private static readonly Dictionary<string, string> s_refused = new()
    {
        ["newarr"] = "allocates an array", ["throw"] = "throws", ["rethrow"] = "throws", ["box"] = "boxes a value", ["ldstr"] = "uses a string", ["localloc"] = "uses stackalloc", ["castclass"] = "uses a class", ["isinst"] = "uses a class",
        ["ldftn"] = "makes a delegate", ["ldvirtftn"] = "makes a delegate", ["stsfld"] = "writes a static field", ["leave"] = "has a protected region", ["leave.s"] = "has a protected region", ["endfinally"] = "has a protected region",
        ["ldtoken"] = "uses reflection", ["calli"] = "calls through a pointer", ["unbox"] = "boxes a value", ["unbox.any"] = "boxes a value",
    };

    /// <summary>Checks a kernel.</summary>
    /// <returns>Whether the threads of its groups share memory or meet.</returns>
    /// <exception cref="NotSupportedException">What is refused, and where.</exception>
    public static bool Check(MethodInfo kernel)
    {
        if (!kernel.IsStatic)
        {
            throw new NotSupportedException($"kernel {kernel.Name} is no static method: lambdas and methods that capture cannot be compiled");
        }

        foreach (ParameterInfo parameter in kernel.GetParameters())
        {
            CheckArgument(parameter.ParameterType, kernel, parameter.Name!);
        }

        bool meets = false;
        Walk(kernel, [], ref meets);
        return meets;
    }

    private static void CheckArgument(Type type, MethodInfo kernel, string path)
    {
        if (!type.IsValueType || type == typeof(bool) || type == typeof(char))
        {
            throw new NotSupportedException($"kernel {kernel.Name}: argument {path} is a {type.Name}; arguments are structs of views and numbers, and a flag is an int");
        }

        if (type.IsPrimitive || type.IsEnum || (type.Namespace == "ILGPU" && type.Assembly == typeof(KernelVerifier).Assembly))
        {
            return;
        }

        foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            CheckArgument(field.FieldType, kernel, path + "." + field.Name);
        }
    }

    private static void Walk(MethodBase method, HashSet<MethodBase> seen, ref bool meets)
    {
        if (!seen.Add(method))
        {
            return;
        }

        string name = $"{method.DeclaringType?.Name}.{method.Name}";
        if (method.GetMethodBody() is not { } body || body.GetILAsByteArray() is not { } il)
        {
            throw new NotSupportedException($"{name} has no body that could be compiled");
        }

        if (body.ExceptionHandlingClauses.Count > 0)
        {
            throw new NotSupportedException($"{name} has a protected region (try, foreach or using)");
        }

        if (method.GetParameters().FirstOrDefault(p => p.ParameterType == typeof(bool)) is { } flag)
        {
            throw new NotSupportedException($"{name}: parameter {flag.Name} is a bool; use an int");
        }

        if (body.LocalVariables.FirstOrDefault(l => !l.LocalType.IsValueType && !l.LocalType.IsByRef) is { } local)
        {
            throw new NotSupportedException($"{name} holds a {local.LocalType.Name}, which is a class");
        }

        Type[]? typeArguments = method.DeclaringType is { IsGenericType: true } d ? d.GetGenericArguments() : null, methodArguments = method.IsGenericMethod ? method.GetGenericArguments() : null;
        Type? constrained = null;
        for (int at = 0; at < il.Length;)
        {
            short value = il[at++];
            if (value == 0xFE)
            {
                value = unchecked((short)(0xFE00 | il[at++]));
            }

            OpCode code = s_codes[value];
            int token = at + 4 <= il.Length ? BinaryPrimitives.ReadInt32LittleEndian(il.AsSpan(at)) : 0;
            if (s_refused.TryGetValue(code.Name!, out string? why))
            {
                throw new NotSupportedException($"{name} {why} ({code.Name})");
            }

            if (code == OpCodes.Constrained)
            {
                constrained = method.Module.ResolveType(token, typeArguments, methodArguments);
            }
            else if (code == OpCodes.Ldsfld && method.Module.ResolveField(token, typeArguments, methodArguments) is { IsInitOnly: false } field)
            {
                throw new NotSupportedException($"{name} reads the static field {field.Name}, which is not readonly");
            }
            else if (code == OpCodes.Call || code == OpCodes.Callvirt || code == OpCodes.Newobj)
            {
                Call(name, Resolve(method.Module.ResolveMethod(token, typeArguments, methodArguments)!, constrained), seen, ref meets);
                constrained = null;
            }

            at += code.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * token,
                _ => 4,
            };
        }
    }

    private static void Call(string caller, MethodBase callee, HashSet<MethodBase> seen, ref bool meets)
    {
        Type type = callee.DeclaringType!;
        if (type.Assembly == typeof(KernelVerifier).Assembly)
        {
            if (!s_device.Contains(type.Name))
            {
                throw new NotSupportedException($"{caller} calls {type.Name}.{callee.Name}, which exists on the host only");
            }

            meets |= type.Name is "Warp" or "SharedMemory" || callee.Name == "Barrier";
            return;
        }

        if (type.Namespace == "System" || type.Namespace?.StartsWith("System.", StringComparison.Ordinal) == true)
        {
            if (!s_functions.Contains($"{type.Name}.{callee.Name}"))
            {
                throw new NotSupportedException($"{caller} calls {type.Name}.{callee.Name}, which is not known to work on a GPU");
            }

            return;
        }

        if (!type.IsValueType && (!callee.IsStatic || callee.IsConstructor))
        {
            throw new NotSupportedException($"{caller} calls {type.Name}.{callee.Name}, a member of a class");
        }

        Walk(callee, seen, ref meets);
    }

    /// <summary>The method that a call through an interface means, for the type that it is constrained to.</summary>
    private static MethodBase Resolve(MethodBase callee, Type? constrained)
    {
        if (callee.DeclaringType is not { IsInterface: true } contract)
        {
            return callee;
        }

        if (constrained is null)
        {
            throw new NotSupportedException($"{contract.Name}.{callee.Name} is called on an object");
        }

        MethodBase definition = callee is MethodInfo { IsGenericMethod: true } generic ? generic.GetGenericMethodDefinition() : callee;
        InterfaceMapping map = constrained.GetInterfaceMap(contract);
        MethodInfo target = map.TargetMethods[Array.IndexOf(map.InterfaceMethods, definition)];
        return callee.IsGenericMethod ? target.MakeGenericMethod(callee.GetGenericArguments()) : target;
    }
}
