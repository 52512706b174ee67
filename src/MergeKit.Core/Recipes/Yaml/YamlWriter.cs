using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>Writes nodes as YAML in block style, so that reading the text gives equal nodes.</summary>
internal static partial class YamlWriter
{
    /// <summary>The text of a document.</summary>
    public static string Write(YamlNode root)
    {
        var text = new StringBuilder();
        Write(text, root, 0, inline: false);
        return text.ToString();
    }

    /// <summary>A number that reads back as the same double.</summary>
    public static YamlScalar Number(double value, Diagnostics.SourceLocation location)
    {
        var text = value.ToString("R", CultureInfo.InvariantCulture);
        if (text.Contains('E', StringComparison.Ordinal) && !text.Contains('.', StringComparison.Ordinal))
            text = text.Replace("E", ".0E", StringComparison.Ordinal);
        return new YamlScalar(text, text.Contains('.', StringComparison.Ordinal) ? ScalarKind.Float : ScalarKind.Integer, value, location);
    }

    [GeneratedRegex(@"\A(?:[A-Za-z_/]|\.\.?/)[A-Za-z0-9_./+@-]*\z")]
    private static partial Regex Plain();

    private static void Write(StringBuilder text, YamlNode node, int indent, bool inline)
    {
        switch (node)
        {
            case YamlMapping { Entries.Count: 0 }:
                text.Append("{}\n");
                break;
            case YamlSequence { Items.Count: 0 }:
                text.Append("[]\n");
                break;
            case YamlMapping mapping:
                foreach (var (index, entry) in mapping.Entries.Index())
                {
                    Indent(text, index == 0 && inline ? 0 : indent).Append(Scalar(entry.Key)).Append(':');
                    Value(text, entry.Value, indent + 2);
                }

                break;
            case YamlSequence { Items: var items } when items.All(item => item is YamlScalar):
                text.Append('[').AppendJoin(", ", items.Select(item => Scalar((YamlScalar)item))).Append("]\n");
                break;
            case YamlSequence sequence:
                foreach (var (index, item) in sequence.Items.Index())
                {
                    Indent(text, index == 0 && inline ? 0 : indent).Append("- ");
                    Write(text, item, indent + 2, inline: true);
                }

                break;
            default:
                text.Append(Scalar((YamlScalar)node)).Append('\n');
                break;
        }
    }

    private static void Value(StringBuilder text, YamlNode value, int indent)
    {
        var block = value is YamlMapping { Entries.Count: > 0 } || (value is YamlSequence { Items.Count: > 0 } list && list.Items.Any(item => item is not YamlScalar));
        text.Append(block ? '\n' : ' ');
        Write(text, value, indent, inline: false);
    }

    private static StringBuilder Indent(StringBuilder text, int width) => text.Append(' ', width);

    private static string Scalar(YamlScalar scalar) => scalar.Kind switch
    {
        ScalarKind.Null => "null",
        ScalarKind.Text => IsPlain(scalar.Text) ? scalar.Text : JsonSerializer.Serialize(scalar.Text),
        _ => scalar.Text,
    };

    private static bool IsPlain(string text) => Plain().IsMatch(text) && YamlScalars.ResolvePlain(text).Kind == ScalarKind.Text;
}
