using System.Text;
using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Json;

/// <summary>One value inside a tokenizer file, with the file and the path of keys that lead to it, for messages.</summary>
internal readonly record struct JsonScope(string File, string Path, JsonElement Element)
{
    /// <summary>Whether the value is absent or null.</summary>
    public bool IsMissing => Element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    /// <summary>The component kind: its <c>type</c>.</summary>
    public string Type => Get("type").RequireString();

    /// <summary>A member of an object; missing where the object has none of that name.</summary>
    public JsonScope Get(string key)
    {
        if (Element.ValueKind != JsonValueKind.Object)
            throw Fail("an object");
        return new JsonScope(File, $"{Path}.{key}", Element.TryGetProperty(key, out var child) ? child : default);
    }

    /// <summary>The items of an array.</summary>
    public IEnumerable<JsonScope> Items()
    {
        if (Element.ValueKind != JsonValueKind.Array)
            throw Fail("an array");
        var (file, path) = (File, Path);
        return Element.EnumerateArray().Select((item, index) => new JsonScope(file, $"{path}[{index}]", item));
    }

    /// <summary>The items of an array, none where it is missing.</summary>
    public IEnumerable<JsonScope> ItemsOrNone() => IsMissing ? [] : Items();

    /// <summary>The string that must be here.</summary>
    public string RequireString() => Element.ValueKind == JsonValueKind.String ? Text(Element) : throw Fail("a string");

    /// <summary>The string, or null where missing.</summary>
    public string? OptionalString() => IsMissing ? null : RequireString();

    /// <summary>True or false, or the default where missing.</summary>
    public bool Bool(bool otherwise) => Element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ when IsMissing => otherwise,
        _ => throw Fail("true or false"),
    };

    /// <summary>A count from zero, or the default where missing.</summary>
    public int Count(int otherwise) => IsMissing ? otherwise : RequireCount();

    /// <summary>A count from zero that must be here.</summary>
    public int RequireCount() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetInt64(out var value) && value is >= 0 and <= int.MaxValue
            ? (int)value
            : throw Fail("an integer from 0 to 2147483647");

    /// <summary>A finite number that must be here.</summary>
    public double RequireNumber() =>
        Element.ValueKind == JsonValueKind.Number && Element.TryGetDouble(out var value) && double.IsFinite(value)
            ? value
            : throw Fail("a finite number");

    /// <summary>One code point, or the default where missing.</summary>
    public Rune Rune(Rune otherwise) => IsMissing ? otherwise : RequireRune();

    /// <summary>One code point that must be here.</summary>
    public Rune RequireRune()
    {
        var text = RequireString();
        return text.Length > 0 && System.Text.Rune.TryGetRuneAt(text, 0, out var rune) && rune.Utf16SequenceLength == text.Length
            ? rune
            : throw Fail("one character");
    }

    /// <summary>The error that this value is not what is wanted.</summary>
    public InputException Fail(string wanted)
    {
        var seen = Element.ValueKind == JsonValueKind.Undefined ? "absent" : Element.GetRawText();
        if (seen.Length > 80)
            seen = seen[..80] + "...";
        return new InputException($"{File}: {Path} is {seen}, {wanted} is wanted");
    }

    /// <summary>The error that a component kind is not known.</summary>
    public InputException UnknownType(string what, IEnumerable<string> known)
    {
        var names = known.Order(StringComparer.Ordinal).ToArray();
        return new InputException($"{File}: {Path} is a {what} of type '{Type}', which is not supported; " +
            $"supported are {string.Join(", ", names)}.{Spelling.Hint(Type, names)}");
    }

    /// <summary>The text of a JSON string; one with an unpaired surrogate escape gets U+FFFD in its place.</summary>
    public static string Text(JsonElement element)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            return WellFormed.Repair(JsonStrings.Unescape(element.GetRawText()));
        }
    }
}
