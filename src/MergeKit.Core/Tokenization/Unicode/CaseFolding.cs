using System.Text;

namespace MergeKit.Core.Tokenization.Unicode;

/// <summary>Simple case folding: one code point to one. Two code points are equivalent where their upper cases have the same
/// lower case.</summary>
internal static class CaseFolding
{
    private const int LastCased = 0x1E943;
    private static readonly Lazy<Dictionary<Rune, Rune[]>> Classes = new(Build);

    /// <summary>The code point that stands for its class. Three mappings are not .NET's: capital sharp s, long s, Kelvin sign.</summary>
    public static Rune Fold(Rune rune) => rune.Value switch
    {
        0x1E9E => new Rune(0xDF),
        0x17F => new Rune('s'),
        0x212A => new Rune('k'),
        _ => Rune.ToLowerInvariant(Rune.ToUpperInvariant(rune)),
    };

    /// <summary>All members of the class of a code point, itself included; none where it stands alone.</summary>
    public static ReadOnlySpan<Rune> Equivalents(Rune rune) => Classes.Value.TryGetValue(Fold(rune), out var members) ? members : [];

    private static Dictionary<Rune, Rune[]> Build() => Enumerable.Range(0, LastCased + 1)
        .Where(Rune.IsValid).Select(code => new Rune(code))
        .Where(rune => Fold(rune) != rune || Rune.ToUpperInvariant(rune) != rune || Rune.ToLowerInvariant(rune) != rune)
        .GroupBy(Fold).ToDictionary(group => group.Key, group => group.ToArray());
}
