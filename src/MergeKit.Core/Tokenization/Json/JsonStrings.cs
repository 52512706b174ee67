using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Json;

/// <summary>Reads JSON string literals that the framework's reader refuses: those with unpaired surrogate escapes.</summary>
internal static class JsonStrings
{
    /// <summary>The UTF-16 units that a valid literal, quotes included, stands for. Unpaired surrogates are kept.</summary>
    public static string Unescape(string literal)
    {
        var text = new StringBuilder(literal.Length);
        for (var i = 1; i < literal.Length - 1; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            i++;
            if (literal[i] == 'u')
            {
                text.Append((char)int.Parse(literal.AsSpan(i + 1, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                i += 4;
                continue;
            }

            text.Append(literal[i] switch { 'b' => '\b', 'f' => '\f', 'n' => '\n', 'r' => '\r', 't' => '\t', var other => other });
        }

        return text.ToString();
    }
}
