namespace Shardwright.Compiler.Graph;

/// <summary>What an edit does at its place. The rewriter of the code fixes knows how; nothing here knows syntax.</summary>
public enum EditKind
{
    /// <summary>Makes the type at the place partial.</summary>
    AddPartial,

    /// <summary>Sets a named argument of the attribute at the place; an empty name stands for all its positional ones.</summary>
    SetArgument,

    /// <summary>Takes a named argument of the attribute at the place away.</summary>
    RemoveArgument,

    /// <summary>Adds the attribute of the value to the declaration at the place.</summary>
    AddAttribute,

    /// <summary>Takes the attribute at the place away.</summary>
    RemoveAttribute,

    /// <summary>Takes the attribute of the name off the declaration at the place.</summary>
    RemoveFieldAttribute,

    /// <summary>Takes the field at the place away.</summary>
    RemoveField,

    /// <summary>Gives the number at the place, or the constant that is named there, another value.</summary>
    SetNumber,

    /// <summary>Replaces the string of the name within the place by the value.</summary>
    SetString,

    /// <summary>Puts the expression at the place into a call of the name; the value is text that follows it as further arguments.</summary>
    Wrap,
}

/// <summary>One change of source.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Place">Where: Type#site.</param>
/// <param name="Name">What of it, by kind.</param>
/// <param name="Value">Text that is written, by kind.</param>
public sealed record FixEdit(EditKind Kind, string Place, string Name, string Value);

/// <summary>A way to put a finding right.</summary>
/// <param name="Title">What an editor offers; says so where the training would not stay the same.</param>
/// <param name="Key">Fixes of one key are applied together.</param>
/// <param name="Edits">What is changed, all of it or nothing.</param>
public sealed record Fix(string Title, string Key, EquatableArray<FixEdit> Edits)
{
    /// <summary>A fix of one edit.</summary>
    public static Fix Of(string title, string key, EditKind kind, string place, string name = "", string value = "") =>
        new(title, key, EquatableArray.Of(new FixEdit(kind, place, name, value)));
}
