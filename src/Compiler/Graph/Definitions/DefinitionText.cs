using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text;
using ReflectedParameter = System.Reflection.ParameterInfo;

namespace Shardwright.Compiler.Graph.Definitions;

/// <summary>The compact text in which a definition travels in an attribute: "version;oldest reader" and then nested lists,
/// (Record argument …), [items], "strings", numbers, ~ for nothing. A reader takes all older versions: a record may gain arguments at its end that have a
/// default value, and nothing else may change without a new version.</summary>
public static class DefinitionText
{
    /// <summary>Version that is written: 1 held layers only, 2 holds a model with its meshes too.</summary>
    public const int Version = 2;

    /// <summary>Oldest reader that understands the text of a layer.</summary>
    public const int OldestReader = 1;

    /// <summary>Oldest reader that understands the text of a model.</summary>
    public const int OldestModelReader = 2;

    private const int MaxDepth = 600;

    private static readonly Dictionary<string, ConstructorInfo> s_records = Records(typeof(ModelDefinition));

    /// <summary>What reading yields: a definition, or why there is none.</summary>
    /// <param name="Definition">The layer; for a model, what it is as a layer.</param>
    /// <param name="Model">The model with its meshes, where the text is that of one.</param>
    /// <param name="Error">Why there is no definition; empty where there is one.</param>
    /// <param name="IsNewer">Whether the reason is that the text needs a newer reader.</param>
    public sealed record Result(LayerDefinition? Definition, ModelDefinition? Model, string Error, bool IsNewer);

    /// <summary>Writes a layer.</summary>
    public static string Write(LayerDefinition definition) => Write(definition, OldestReader);

    /// <summary>Writes a model with its meshes.</summary>
    public static string Write(ModelDefinition definition) => Write(definition, OldestModelReader);

    private static string Write(object definition, int oldestReader)
    {
        var text = new StringBuilder();
        text.Append(Version).Append(';').Append(oldestReader).Append(';');
        Write(text, definition);
        return text.ToString();
    }

    /// <summary>Reads a definition; never throws on a bad text.</summary>
    public static Result Read(string text)
    {
        string[] head = text.Split(new[] { ';' }, 3);
        if (head.Length != 3 || !int.TryParse(head[0], out int version) || !int.TryParse(head[1], out int oldest))
        {
            return new Result(null, null, "it does not begin with a format version; build the assembly again", false);
        }

        if (oldest > Version)
        {
            return new Result(null, null, $"it was written in format {version}, for readers of format {oldest} or newer, and this is a reader of format {Version}: update the Shardwright package here to the version used there", true);
        }

        try
        {
            int at = 0;
            object? value = new Reader(head[2]).Read(ref at, typeof(object), 0);
            return (at == head[2].Length ? value : null) switch
            {
                LayerDefinition layer => new Result(layer, null, "", false),
                ModelDefinition model => new Result(model.Layer, model, "", false),
                _ => new Result(null, null, at < head[2].Length ? "there is text after its end; build the assembly again" : "it is neither a layer nor a model; build the assembly again", false),
            };
        }
        catch (Exception error) when (error is FormatException or OverflowException or ArgumentException or TargetInvocationException or InvalidCastException)
        {
            return new Result(null, null, $"it is damaged ({error.Message}); build the assembly again", false);
        }
    }

    /// <summary>The records that a definition may hold: those that constructors ask for, and all kinds of the abstract ones.</summary>
    private static Dictionary<string, ConstructorInfo> Records(Type root)
    {
        var result = new Dictionary<string, ConstructorInfo>();
        var seen = new HashSet<Type>();
        var queue = new Queue<Type>();
        queue.Enqueue(root);
        while (queue.Count > 0)
        {
            Type type = queue.Dequeue();
            if (type.IsGenericType)
            {
                queue.Enqueue(type.GetGenericArguments()[0]);
            }
            else if (type.Assembly == root.Assembly && !type.IsEnum && seen.Add(type))
            {
                if (type.IsAbstract)
                {
                    foreach (Type kind in type.GetNestedTypes().Where(type.IsAssignableFrom))
                    {
                        queue.Enqueue(kind);
                    }
                }
                else
                {
                    result[Name(type)] = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First();
                    foreach (ReflectedParameter parameter in result[Name(type)].GetParameters())
                    {
                        queue.Enqueue(parameter.ParameterType);
                    }
                }
            }
        }

        return result;
    }

    private static string Name(Type type) => type.DeclaringType is { } outer && outer != typeof(Expression) && outer != typeof(Statement)
        ? outer.Name + "." + type.Name
        : type.DeclaringType == typeof(Statement) ? "Do." + type.Name : type.Name;

    private static void Write(StringBuilder text, object? value)
    {
        switch (value)
        {
            case null:
                text.Append('~');
                break;
            case string s:
                text.Append('"').Append(s.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")).Append('"');
                break;
            case bool b:
                text.Append(b ? '1' : '0');
                break;
            case double d:
                text.Append(d.ToString("R", CultureInfo.InvariantCulture));
                break;
            case int or long:
                text.Append(Convert.ToInt64(value, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture));
                break;
            case Enum:
                text.Append(Convert.ToInt32(value, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture));
                break;
            case IEnumerable items:
                text.Append('[');
                bool first = true;
                foreach (object? item in items)
                {
                    text.Append(first ? "" : " ");
                    first = false;
                    Write(text, item);
                }

                text.Append(']');
                break;
            default:
                Type type = value.GetType();
                text.Append('(').Append(Name(type));
                foreach (ReflectedParameter parameter in s_records[Name(type)].GetParameters())
                {
                    text.Append(' ');
                    Write(text, type.GetProperty(parameter.Name!)!.GetValue(value));
                }

                text.Append(')');
                break;
        }
    }

    private sealed class Reader
    {
        private readonly string _text;

        public Reader(string text) => _text = text;

        public object? Read(ref int at, Type type, int depth)
        {
            if (depth > MaxDepth)
            {
                throw new FormatException("nested too deeply");
            }

            Skip(ref at);
            char c = at < _text.Length ? _text[at] : throw new FormatException("it ends too early");
            switch (c)
            {
                case '~':
                    at++;
                    return null;
                case '"':
                    return String(ref at);
                case '[':
                    return List(ref at, type, depth);
                case '(':
                    return Record(ref at, type, depth);
                default:
                    int start = at;
                    while (at < _text.Length && _text[at] is not (' ' or ')' or ']' or '(' or '['))
                    {
                        at++;
                    }

                    return Number(_text.Substring(start, at - start), type);
            }
        }

        private static object Number(string text, Type type)
        {
            if (type == typeof(double))
            {
                return double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
            }

            long value = long.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            return type == typeof(long) ? value
                : type == typeof(int) ? checked((int)value)
                : type == typeof(bool) ? value != 0
                : type.IsEnum && Enum.IsDefined(type, (int)value) ? Enum.ToObject(type, (int)value)
                : throw new FormatException($"a number where {type.Name} is expected");
        }

        private object List(ref int at, Type type, int depth)
        {
            if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(EquatableArray<>))
            {
                throw new FormatException($"a list where {type.Name} is expected");
            }

            Type element = type.GetGenericArguments()[0];
            var items = new ArrayList();
            at++;
            for (Skip(ref at); at < _text.Length && _text[at] != ']'; Skip(ref at))
            {
                object? item = Read(ref at, element, depth + 1);
                items.Add(item is not null && element.IsInstanceOfType(item) ? item : throw new FormatException($"an item of another type than {element.Name}"));
            }

            if (at >= _text.Length)
            {
                throw new FormatException("a list has no end");
            }

            at++;
            Array array = Array.CreateInstance(element, items.Count);
            items.CopyTo(array);
            return typeof(EquatableArray).GetMethod(nameof(EquatableArray.Of))!.MakeGenericMethod(element).Invoke(null, new object[] { array })!;
        }

        private object Record(ref int at, Type type, int depth)
        {
            int start = ++at;
            while (at < _text.Length && _text[at] is not (' ' or ')'))
            {
                at++;
            }

            string name = _text.Substring(start, at - start);
            if (!s_records.TryGetValue(name, out ConstructorInfo? constructor) || !type.IsAssignableFrom(constructor.DeclaringType))
            {
                throw new FormatException($"'{name}' where {type.Name} is expected");
            }

            ReflectedParameter[] parameters = constructor.GetParameters();
            object?[] arguments = new object?[parameters.Length];
            for (int i = 0; i < parameters.Length; i++)
            {
                Skip(ref at);
                if (parameters[i].IsOptional && at < _text.Length && _text[at] == ')')
                {
                    // An older version had no such argument.
                    arguments[i] = parameters[i].DefaultValue ?? (parameters[i].ParameterType.IsValueType ? Activator.CreateInstance(parameters[i].ParameterType) : null);
                    continue;
                }

                arguments[i] = Read(ref at, parameters[i].ParameterType, depth + 1);
                bool optional = parameters[i].ParameterType == typeof(Expression) || (parameters[i].IsOptional && parameters[i].DefaultValue is null && !parameters[i].ParameterType.IsValueType);
                if (arguments[i] is null ? !optional : !parameters[i].ParameterType.IsInstanceOfType(arguments[i]))
                {
                    throw new FormatException($"'{parameters[i].Name}' of {name} is missing or of another type");
                }
            }

            Skip(ref at);
            if (at >= _text.Length || _text[at] != ')')
            {
                throw new FormatException($"{name} has no end");
            }

            at++;
            return constructor.Invoke(arguments);
        }

        private string String(ref int at)
        {
            var text = new StringBuilder();
            for (at++; at < _text.Length && _text[at] != '"'; at++)
            {
                if (_text[at] == '\\' && at + 1 < _text.Length)
                {
                    at++;
                    text.Append(_text[at] == 'n' ? '\n' : _text[at]);
                }
                else
                {
                    text.Append(_text[at]);
                }
            }

            if (at >= _text.Length)
            {
                throw new FormatException("a string has no end");
            }

            at++;
            return text.ToString();
        }

        private void Skip(ref int at)
        {
            while (at < _text.Length && _text[at] == ' ')
            {
                at++;
            }
        }
    }
}
