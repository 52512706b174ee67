using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Reads a regular expression in Oniguruma's Ruby syntax, the one of tokenizer files, over code points.</summary>
/// <remarks>Left out, and named when met: conditionals, absence operators, subexpression calls, <c>\K</c>, <c>\X</c>,
/// <c>\G</c>. Ignoring case, one code point equals one (so s equals long s, but ss does not equal sharp s).</remarks>
internal sealed class PatternParser
{
    private const int MaxDepth = 100;
    private readonly PatternScanner _scanner;
    private readonly CharacterSetParser _sets;
    private readonly Dictionary<string, int> _names = new(StringComparer.Ordinal);
    private bool _ignoreCase;
    private bool _dotAll;
    private bool _extended;
    private int _depth;

    private PatternParser(string expression)
    {
        _scanner = new PatternScanner(WellFormed.Repair(expression));
        _sets = new CharacterSetParser(_scanner);
    }

    /// <summary>Number of groups read.</summary>
    public int Groups { get; private set; }

    /// <summary>The tree of an expression, and how many numbered groups it has.</summary>
    /// <exception cref="FormatException">It is malformed, or uses what is not supported; the message says what and where.</exception>
    public static (PatternNode Root, int Groups) Parse(string expression)
    {
        var parser = new PatternParser(expression);
        var root = parser.ReadChoice();
        return parser._scanner.AtEnd ? (root, parser.Groups) : throw parser._scanner.Fail("')' without '('");
    }

    private PatternNode ReadChoice()
    {
        if (++_depth > MaxDepth)
            throw _scanner.Fail($"groups nested deeper than {MaxDepth}");
        var choices = new List<PatternNode> { ReadChain() };
        while (_scanner.Take('|'))
            choices.Add(ReadChain());
        _depth--;
        return choices.Count == 1 ? choices[0] : new Choice(choices);
    }

    private PatternNode ReadChain()
    {
        var parts = new List<PatternNode>();
        while (!_scanner.AtEnd && _scanner.Peek() is not ('|' or ')'))
        {
            if (_extended && SkipBlank())
                continue;
            if (ReadAtom() is { } atom)
                parts.Add(ReadQuantifiers(atom));
        }

        return parts.Count == 1 ? parts[0] : new Chain(parts);
    }

    private bool SkipBlank()
    {
        if (_scanner.Take('#'))
        {
            while (!_scanner.AtEnd && _scanner.Next().Value != '\n') { }
            return true;
        }

        if (!Rune.IsWhiteSpace(new Rune(_scanner.Peek() is var unit && char.IsSurrogate(unit) ? 'x' : unit)))
            return false;
        _scanner.Next();
        return true;
    }

    private PatternNode? ReadAtom()
    {
        var rune = _scanner.Next();
        switch (rune.Value)
        {
            case '(':
                return ReadGroup();
            case '[':
                return One(_sets.ReadBrackets());
            case '.':
                return new OneOf(_dotAll ? CodePointSet.All : CodePointSet.Single(new Rune('\n')).Negated());
            case '^':
                return new At(Place.LineStart);
            case '$':
                return new At(Place.LineEnd);
            case '\\':
                return ReadEscape();
            case '*' or '+' or '?':
                throw _scanner.Fail("a quantifier with nothing before it");
            default:
                return One(CodePointSet.Single(rune));
        }
    }

    private OneOf One(CodePointSet set) => new(_ignoreCase ? set.IgnoringCase() : set);

    private PatternNode ReadEscape()
    {
        if (_scanner.AtEnd)
            throw _scanner.Fail("a '\\' at the end");
        switch (_scanner.Peek())
        {
            case 'A': return Take(Place.TextStart);
            case 'z': return Take(Place.TextEnd);
            case 'Z': return Take(Place.TextEndOrLastNewline);
            case 'b': return Take(Place.WordBoundary);
            case 'B': return Take(Place.NoWordBoundary);
            case 'R': return ReadLineBreak();
            case >= '1' and <= '9':
                return new BackReference(_scanner.Digits(), _ignoreCase);
            case 'k':
                _scanner.Next();
                return NamedReference();
            default:
                return One(_sets.ReadEscape(inBrackets: false));
        }
    }

    private At Take(Place place)
    {
        _scanner.Next();
        return new At(place);
    }

    private Atomic ReadLineBreak()
    {
        _scanner.Next();
        var single = new CodePointSet(rune => rune.Value is (>= 0xA and <= 0xD) or 0x85 or 0x2028 or 0x2029);
        var pair = new Chain([new OneOf(CodePointSet.Single(new Rune('\r'))), new OneOf(CodePointSet.Single(new Rune('\n')))]);
        return new Atomic(new Choice([pair, new OneOf(single)]));
    }

    private BackReference NamedReference()
    {
        var name = _scanner.Enclosed('<', '>');
        if (_names.TryGetValue(name, out var number) || int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out number))
            return new BackReference(number, _ignoreCase);
        throw _scanner.Fail($"a reference to the unknown group '{name}'");
    }

    private PatternNode? ReadGroup()
    {
        if (!_scanner.Take('?'))
            return Close(new Capture(++Groups, ReadScoped()));
        if (_scanner.Take('#'))
        {
            while (_scanner.Next().Value != ')') { }
            return null;
        }

        if (_scanner.Take(':'))
            return Close(ReadScoped());
        if (_scanner.Take('>'))
            return Close(new Atomic(ReadScoped()));
        if (_scanner.Take('='))
            return Close(new Look(ReadScoped(), Behind: false, Negated: false));
        if (_scanner.Take('!'))
            return Close(new Look(ReadScoped(), Behind: false, Negated: true));
        if (_scanner.Take("<="))
            return Close(new Look(ReadScoped(), Behind: true, Negated: false));
        if (_scanner.Take("<!"))
            return Close(new Look(ReadScoped(), Behind: true, Negated: true));
        if (_scanner.Peek() == '<')
        {
            _names[_scanner.Enclosed('<', '>')] = ++Groups;
            return Close(new Capture(Groups, ReadScoped()));
        }

        return ReadOptions();
    }

    /// <summary>Reads <c>i</c>, <c>m</c>, <c>x</c> and their negations. Without a colon they hold to the end of the
    /// enclosing group, alternatives included.</summary>
    private PatternNode ReadOptions()
    {
        var saved = (_ignoreCase, _dotAll, _extended);
        for (var on = true; ;)
        {
            var rune = _scanner.Next();
            switch (rune.Value)
            {
                case '-': on = false; break;
                case 'i': _ignoreCase = on; break;
                case 'm': _dotAll = on; break;
                case 'x': _extended = on; break;
                case ':' or ')':
                    var part = ReadChoice();
                    (_ignoreCase, _dotAll, _extended) = saved;
                    return rune.Value == ':' ? Close(part) : part;
                default:
                    throw _scanner.Fail($"the group '(?{rune}', which is not supported");
            }
        }
    }

    private PatternNode ReadScoped()
    {
        var saved = (_ignoreCase, _dotAll, _extended);
        var part = ReadChoice();
        (_ignoreCase, _dotAll, _extended) = saved;
        return part;
    }

    private T Close<T>(T node) where T : PatternNode => _scanner.Take(')') ? node : throw _scanner.Fail("'(' without ')'");

    private PatternNode ReadQuantifiers(PatternNode atom)
    {
        while (!_scanner.AtEnd)
        {
            var bounded = false;
            (int Min, int Max) times;
            if (_scanner.Take('*'))
                times = (0, -1);
            else if (_scanner.Take('+'))
                times = (1, -1);
            else if (_scanner.Take('?'))
                times = (0, 1);
            else if (_scanner.TakeInterval() is { } interval)
                (times, bounded) = (interval, true);
            else
                return atom;
            atom = Quantified(atom, times.Min, times.Max, bounded);
        }

        return atom;
    }

    /// <summary>After <c>{n,m}</c> a <c>+</c> repeats again, and <c>{n}?</c> is an optional <c>{n}</c>, as in Ruby.</summary>
    private PatternNode Quantified(PatternNode atom, int min, int max, bool bounded)
    {
        var greed = Greed.Greedy;
        if (_scanner.Peek() == '?' && !(bounded && min == max))
            greed = Greed.Lazy;
        else if (_scanner.Peek() == '+' && !bounded)
            greed = Greed.Possessive;
        if (greed != Greed.Greedy)
            _scanner.Next();
        return new Repeat(atom, min, max, greed);
    }
}
