using MergeKit.Core.Templating;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation.Metrics;

/// <summary>How two texts are made alike before they are compared.</summary>
public sealed record ExactMatchOptions
{
    /// <summary>Patterns (in Python's notation) removed from both sides, in turn, before anything else.</summary>
    public IReadOnlyList<string> RegexesToIgnore { get; init; } = [];

    /// <summary>Compare in lower case.</summary>
    public bool IgnoreCase { get; init; }

    /// <summary>Leave out ASCII punctuation.</summary>
    public bool IgnorePunctuation { get; init; }

    /// <summary>Leave out the digits 0 to 9.</summary>
    public bool IgnoreDigits { get; init; }
}

/// <summary>Exact match of a prediction and a reference.</summary>
public static class ExactMatch
{
    /// <summary>1 when both are equal after the patterns, case, punctuation and digits are dealt with, in this order; else 0.</summary>
    public static double Score(string prediction, string reference, ExactMatchOptions? options = null)
    {
        options ??= new ExactMatchOptions();
        return Normalize(prediction, options) == Normalize(reference, options) ? 1 : 0;
    }

    private static string Normalize(string text, ExactMatchOptions options)
    {
        try
        {
            foreach (var pattern in options.RegexesToIgnore)
                text = PythonRegex.Replace(text, pattern, "", 0);
        }
        catch (TemplateFault fault)
        {
            throw new EvaluationException(EvaluationError.InvalidParameter, fault.Message);
        }

        if (options.IgnoreCase)
            text = text.ToLowerInvariant();
        if (options.IgnorePunctuation)
            text = Without(text, c => c is > ' ' and <= '~' && !char.IsAsciiLetterOrDigit(c));
        return options.IgnoreDigits ? Without(text, char.IsAsciiDigit) : text;
    }

    private static string Without(string text, Func<char, bool> drop) => string.Concat(text.Where(c => !drop(c)));
}
