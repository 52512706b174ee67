using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Reads <c>{"String": ...}</c> and <c>{"Regex": ...}</c>.</summary>
internal static class PatternReader
{
    /// <summary>The pattern; a known regular expression gets its hand-written splitter.</summary>
    public static Pattern Read(JsonScope scope)
    {
        var (literal, regex) = (scope.Get("String"), scope.Get("Regex"));
        if (literal.IsMissing == regex.IsMissing)
            throw scope.Fail("{\"String\": ...} or {\"Regex\": ...}");
        return regex.IsMissing ? new LiteralPattern(literal.RequireString()) : Regex(regex);
    }

    private static Pattern Regex(JsonScope scope)
    {
        var expression = scope.RequireString();
        if (KnownSplits.Find(expression) is { } known)
            return known;
        try
        {
            return RegexPattern.Parse(expression, $"{scope.File}: {scope.Path}");
        }
        catch (FormatException e)
        {
            throw scope.Fail($"a regular expression that can be read ({e.Message})");
        }
    }
}
