using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>A set of code points given by a property; ASCII is looked up in a bit map.</summary>
internal sealed class CodePointSet
{
    private readonly Func<Rune, bool> _property;
    private readonly ulong _low;
    private readonly ulong _high;

    /// <summary>The set of all code points with the property.</summary>
    public CodePointSet(Func<Rune, bool> property)
    {
        _property = property;
        for (var code = 0; code < 64; code++)
        {
            _low |= property(new Rune(code)) ? 1UL << code : 0;
            _high |= property(new Rune(code + 64)) ? 1UL << code : 0;
        }
    }

    /// <summary>All code points.</summary>
    public static CodePointSet All { get; } = new(_ => true);

    /// <summary>One code point.</summary>
    public static CodePointSet Single(Rune rune) => new(other => other == rune);

    /// <summary>All from first to last.</summary>
    public static CodePointSet Range(Rune first, Rune last) => new(rune => rune >= first && rune <= last);

    /// <summary>All in any of the sets.</summary>
    public static CodePointSet Union(IReadOnlyList<CodePointSet> sets)
    {
        if (sets.Count == 1)
            return sets[0];
        var array = sets.ToArray();
        return new CodePointSet(rune =>
        {
            foreach (var set in array)
                if (set.Contains(rune))
                    return true;
            return false;
        });
    }

    /// <summary>All in both sets.</summary>
    public static CodePointSet Intersection(CodePointSet a, CodePointSet b) => new(rune => a.Contains(rune) && b.Contains(rune));

    /// <summary>All not in the set.</summary>
    public CodePointSet Negated() => new(rune => !Contains(rune));

    /// <summary>All that differ from a member in case only (simple case folding).</summary>
    public CodePointSet IgnoringCase() => new(rune =>
    {
        if (Contains(rune))
            return true;
        foreach (var other in CaseFolding.Equivalents(rune))
            if (Contains(other))
                return true;
        return false;
    });

    /// <summary>Whether the set holds a code point.</summary>
    public bool Contains(Rune rune)
    {
        var code = rune.Value;
        if (code < 64)
            return (_low >> code & 1) != 0;
        return code < 128 ? (_high >> (code - 64) & 1) != 0 : _property(rune);
    }
}
