using System.Text;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary><c>Replace</c>: puts literal text in the place of every match.</summary>
internal sealed class ReplaceNormalizer(Pattern pattern, string content) : Normalizer
{
    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input)
    {
        StringBuilder? output = null;
        var (copied, origin) = (0, input.Origin);
        var matches = pattern.Matches(input.Text);
        while (matches.MoveNext())
        {
            var (start, end) = matches.Current;
            output ??= new StringBuilder(input.Text.Length + 16);
            output.Append(input.Text, copied, start - copied).Append(content);
            if (start < input.Origin || (start == 0 && input.Origin > 0))
                origin = output.Length + Math.Max(0, input.Origin - end);
            copied = end;
        }

        if (output is null)
            return input;
        output.Append(input.Text, copied, input.Text.Length - copied);
        return new NormalizedText(output.ToString(), Math.Min(origin, output.Length));
    }
}
