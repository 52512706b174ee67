using System.Text.RegularExpressions;
using MergeKit.Core.Templating.Runtime;

namespace MergeKit.Core.Evaluation.Metrics;

/// <summary>One step that turns the responses to an item into what is judged: the filters of lm-evaluation-harness.</summary>
public sealed class ResponseFilter
{
    private readonly Func<IReadOnlyList<string>, IReadOnlyList<string>> _apply;

    private ResponseFilter(Func<IReadOnlyList<string>, IReadOnlyList<string>> apply) => _apply = apply;

    /// <summary>The first response only.</summary>
    public static ResponseFilter TakeFirst { get; } = new(responses => [.. responses.Take(1)]);

    /// <summary>The most frequent response; of equals the first seen.</summary>
    public static ResponseFilter MajorityVote { get; } = new(responses =>
        responses.Count == 0 ? [] : [responses.GroupBy(response => response, StringComparer.Ordinal).MaxBy(group => group.Count())!.Key]);

    /// <summary>Without white space at the start.</summary>
    public static ResponseFilter RemoveWhitespace { get; } = Each(response => PythonString.Strip(response, null, right: false));

    /// <summary>In lower case.</summary>
    public static ResponseFilter Lowercase { get; } = Each(response => response.ToLowerInvariant());

    /// <summary>In upper case.</summary>
    public static ResponseFilter Uppercase { get; } = Each(response => response.ToUpperInvariant());

    /// <summary>The first <paramref name="count"/> responses.</summary>
    public static ResponseFilter TakeFirstK(int count) => new(responses => [.. responses.Take(count)]);

    /// <summary>Each response replaced by its value in a table, or by a default.</summary>
    public static ResponseFilter Map(IReadOnlyDictionary<string, string> table, string otherwise) =>
        Each(response => table.TryGetValue(response, out var value) ? value : otherwise);

    /// <summary>What a pattern (in Python's notation) finds: of all matches the one at <paramref name="select"/> (negative: from the end); of several
    /// groups the first that is not empty; trimmed. <paramref name="fallback"/> where nothing matches. Errors: a pattern that is not valid.</summary>
    public static ResponseFilter Regex(string pattern, int select = 0, string fallback = "[invalid]")
    {
        PythonRegex regex;
        try
        {
            regex = new PythonRegex(pattern);
        }
        catch (ArgumentException error)
        {
            throw new EvaluationException(EvaluationError.InvalidParameter, $"the pattern '{pattern}' is not valid: {error.Message}");
        }

        return Each(response => Find(regex, response, select) is { } found ? PythonString.Strip(found, null) : fallback);
    }

    /// <summary>Applies the filter to the responses of one item.</summary>
    public IReadOnlyList<string> Apply(IReadOnlyList<string> responses) => _apply(responses);

    private static ResponseFilter Each(Func<string, string> change) => new(responses => responses.Select(change).ToArray());

    private static string? Find(PythonRegex regex, string response, int select)
    {
        MatchCollection matches;
        int index;
        try
        {
            matches = regex.Regex.Matches(response);
            index = select < 0 ? matches.Count + select : select;
            if (index < 0 || index >= matches.Count)
                return null;
        }
        catch (RegexMatchTimeoutException)
        {
            throw new EvaluationException(EvaluationError.InvalidParameter, $"the pattern '{regex.Regex}' takes longer than {PythonRegex.Timeout.TotalSeconds} s");
        }

        return regex.Groups switch
        {
            0 => matches[index].Value,
            1 => matches[index].Groups[1].Value,
            _ => Enumerable.Range(1, regex.Groups).Select(group => matches[index].Groups[group].Value).FirstOrDefault(value => value.Length > 0),
        };
    }
}
