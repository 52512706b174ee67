using System.Text;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation.Metrics;

/// <summary>Lengths of texts as the metrics count them.</summary>
public static class TextMeasure
{
    /// <summary>Bytes in UTF-8.</summary>
    public static int Bytes(string text) => Encoding.UTF8.GetByteCount(text);

    /// <summary>Unicode code points, not UTF-16 units.</summary>
    public static int CodePoints(string text) => PythonString.Length(text);

    /// <summary>Pieces of a split on runs of white space; empty pieces count, so an empty text has one.</summary>
    public static int Words(string text)
    {
        var (runs, inside) = (0, false);
        foreach (var c in text)
        {
            var space = PythonString.IsSpace(c);
            runs += space && !inside ? 1 : 0;
            inside = space;
        }

        return runs + 1;
    }
}
