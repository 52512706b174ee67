using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Reads bracketed sets, with nested sets, <c>&amp;&amp;</c> and POSIX names, and the escapes that stand for one code
/// point.</summary>
internal sealed class CharacterSetParser(PatternScanner scanner)
{
    private const int MaxDepth = 100;
    private int _depth;

    /// <summary>Reads a set from behind its opening bracket to its closing one.</summary>
    public CodePointSet ReadBrackets()
    {
        if (++_depth > MaxDepth)
            throw scanner.Fail($"sets nested deeper than {MaxDepth}");
        var negated = scanner.Take('^');
        CodePointSet? before = null;
        var parts = new List<CodePointSet>();
        for (var first = true; first || !scanner.Take(']'); first = false)
        {
            if (scanner.Take("&&"))
            {
                before = Combine(before, parts);
                parts = [];
                continue;
            }

            parts.Add(ReadItem());
        }

        _depth--;
        var set = Combine(before, parts);
        return negated ? set.Negated() : set;
    }

    /// <summary>Reads an escape from behind its backslash.</summary>
    public CodePointSet ReadEscape(bool inBrackets)
    {
        var mark = scanner.Peek();
        CodePointSet? named = mark switch
        {
            'd' or 'D' => CharacterProperties.Digit,
            's' or 'S' => CharacterProperties.Space,
            'w' or 'W' => inBrackets ? CharacterProperties.BracketWord : CharacterProperties.Word,
            'h' or 'H' => CharacterProperties.HexDigit,
            _ => null,
        };
        if (named is not null)
        {
            scanner.Next();
            return char.IsUpper(mark) ? named.Negated() : named;
        }

        return mark is 'p' or 'P' ? ReadProperty() : CodePointSet.Single(ReadCharacter(inBrackets));
    }

    private static CodePointSet Combine(CodePointSet? before, List<CodePointSet> parts)
    {
        var union = parts.Count == 0 ? CodePointSet.All.Negated() : CodePointSet.Union(parts);
        return before is null ? union : CodePointSet.Intersection(before, union);
    }

    private CodePointSet ReadItem()
    {
        if (scanner.Peek() == '[' && scanner.Peek(1) == ':')
            return ReadPosix();
        if (scanner.Take('['))
            return ReadBrackets();
        Rune low;
        if (scanner.Take('\\'))
        {
            if (scanner.Peek() is 'd' or 'D' or 's' or 'S' or 'w' or 'W' or 'h' or 'H' or 'p' or 'P')
                return ReadEscape(inBrackets: true);
            low = ReadCharacter(inBrackets: true);
        }
        else
        {
            low = scanner.Next();
        }

        // A hyphen before the closing bracket, or before a nested set, stands for itself.
        if (scanner.Peek() != '-' || scanner.Peek(1) is ']' or '[' or '\0')
            return CodePointSet.Single(low);
        scanner.Next();
        var high = scanner.Take('\\') ? ReadCharacter(inBrackets: true) : scanner.Next();
        return low <= high ? CodePointSet.Range(low, high) : throw scanner.Fail($"the empty range {low}-{high}");
    }

    private CodePointSet ReadPosix()
    {
        scanner.Take("[:");
        var negated = scanner.Take('^');
        var name = new StringBuilder();
        while (!scanner.Take(":]"))
            name.Append(scanner.Next());
        var set = CharacterProperties.FindPosix(name.ToString()) ?? throw scanner.Fail($"the unknown set '[:{name}:]'");
        return negated ? set.Negated() : set;
    }

    private CodePointSet ReadProperty()
    {
        var negated = scanner.Next().Value == 'P';
        var name = scanner.Enclosed('{', '}');
        if (name.StartsWith('^'))
            (negated, name) = (!negated, name[1..]);
        var set = CharacterProperties.Find(name) ?? throw scanner.Fail($"the unknown property '{name}'");
        return negated ? set.Negated() : set;
    }

    private Rune ReadCharacter(bool inBrackets)
    {
        var rune = scanner.Next();
        switch (rune.Value)
        {
            case 't': return new Rune('\t');
            case 'n': return new Rune('\n');
            case 'r': return new Rune('\r');
            case 'f': return new Rune('\f');
            case 'v': return new Rune('\v');
            case 'a': return new Rune('\a');
            case 'e': return new Rune('\x1B');
            case '0': return new Rune('\0');
            case 'b' when inBrackets: return new Rune('\b');
            case 'u': return scanner.Hex(4);
            case 'x' when scanner.Take('{'):
                var wide = scanner.Hex(8);
                return scanner.Take('}') ? wide : throw scanner.Fail("'\\x{' without '}'");
            case 'x': return scanner.Hex(2);
            default:
                return rune.IsAscii && Rune.IsLetterOrDigit(rune)
                    ? throw scanner.Fail($"the escape '\\{rune}', which is not supported") : rune;
        }
    }
}
