using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>A regular expression over code points, matched by backtracking with a bounded number of steps. .NET's own
/// engine is not used: it sees UTF-16 units, so <c>\p{L}</c> misses every letter beyond U+FFFF, and its syntax differs.</summary>
internal sealed class RegexPattern : Pattern
{
    private readonly PatternProgram _program;
    private readonly string _where;
    private MatchState? _spare;

    private RegexPattern(PatternProgram program, string where) => (_program, _where) = (program, where);

    /// <summary>Reads an expression; <paramref name="where"/> names its place for messages.</summary>
    /// <exception cref="FormatException">It is malformed or uses what is not supported.</exception>
    public static RegexPattern Parse(string expression, string where)
    {
        var (root, groups) = PatternParser.Parse(expression);
        return new RegexPattern(PatternCompiler.Compile(root, groups), where);
    }

    /// <inheritdoc/>
    /// <exception cref="InputException">The search takes more steps than any sensible expression needs.</exception>
    public override bool Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        var state = Interlocked.Exchange(ref _spare, null) ?? new MatchState(_program.Registers);
        state.Reset(text.Length);
        var matcher = new Matcher(_program.Code, text, state);
        try
        {
            for (start = from; start <= text.Length; start++)
            {
                if (start < text.Length && char.IsLowSurrogate(text[start]))
                    continue;
                end = matcher.Run(0, start);
                if (end >= 0)
                    return true;
            }
        }
        catch (MatchState.ExhaustedException)
        {
            throw new InputException($"{_where}: the regular expression takes too many steps on a text of {text.Length} characters");
        }
        finally
        {
            _spare = state;
        }

        end = -1;
        return false;
    }
}
