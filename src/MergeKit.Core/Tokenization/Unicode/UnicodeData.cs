using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Unicode;

/// <summary>The embedded table of Unicode facts: decompositions, combining classes, scripts, and which code points were
/// assigned when. .NET's own normalization does nothing in globalization-invariant mode, and tokenizer files mean the
/// character data of the library that made them: normalization, scripts and marks of Unicode 9, punctuation of Unicode 8.</summary>
internal sealed class UnicodeData
{
    private static readonly Lazy<UnicodeData> Shared = new(Load);
    private readonly Dictionary<string, List<(string Key, string[] Items)>> _sections;

    private UnicodeData(Dictionary<string, List<(string, string[])>> sections)
    {
        _sections = sections;
        AssignedIn8 = Ranges("assigned-8");
        AssignedIn9 = CodePointRanges.Union(AssignedIn8, Ranges("assigned-9"));
        AlphabeticMarks = Ranges("alphabetic-marks");
        Scripts = sections["scripts"].ToDictionary(
            line => line.Item1, line => CodePointRanges.Parse(line.Item2), StringComparer.OrdinalIgnoreCase);
        Canonical = Mappings("canonical");
        Compatibility = Mappings("compatibility");
        CompositionExclusions = Ranges("composition-exclusions");
        CombiningClasses = CombiningClassTable();
        _sections.Clear();
    }

    /// <summary>The table, read once.</summary>
    public static UnicodeData Instance => Shared.Value;

    /// <summary>Code points assigned before Unicode 9.</summary>
    public CodePointRanges AssignedIn8 { get; }

    /// <summary>Code points assigned in Unicode 9 or before.</summary>
    public CodePointRanges AssignedIn9 { get; }

    /// <summary>Marks that count as alphabetic.</summary>
    public CodePointRanges AlphabeticMarks { get; }

    /// <summary>The code points of each script, under its long name.</summary>
    public IReadOnlyDictionary<string, CodePointRanges> Scripts { get; }

    /// <summary>One step of canonical decomposition.</summary>
    public IReadOnlyDictionary<int, int[]> Canonical { get; }

    /// <summary>One step of compatibility decomposition, for code points that have no canonical one.</summary>
    public IReadOnlyDictionary<int, int[]> Compatibility { get; }

    /// <summary>Code points that composition never gives.</summary>
    public CodePointRanges CompositionExclusions { get; }

    /// <summary>Canonical combining classes that are not 0.</summary>
    public IReadOnlyDictionary<int, byte> CombiningClasses { get; }

    private CodePointRanges Ranges(string section) => CodePointRanges.Parse(_sections[section].SelectMany(line => line.Items));

    private Dictionary<int, int[]> Mappings(string section) =>
        _sections[section].ToDictionary(line => Hex(line.Key), line => line.Items.Select(Hex).ToArray());

    private Dictionary<int, byte> CombiningClassTable()
    {
        var table = new Dictionary<int, byte>();
        foreach (var (key, items) in _sections["combining-class"])
            foreach (var code in CodePointRanges.Parse(items).All())
                table[code] = byte.Parse(key, CultureInfo.InvariantCulture);
        return table;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static UnicodeData Load()
    {
        const string name = "MergeKit.Core.Tokenization.Unicode.unicode.txt";
        using var stream = typeof(UnicodeData).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"the assembly lacks its resource {name}");
        using var reader = new StreamReader(stream, System.Text.Encoding.UTF8);
        var sections = new Dictionary<string, List<(string, string[])>>();
        var current = new List<(string, string[])>();
        while (reader.ReadLine() is { } line)
        {
            if (line[0] == '#')
                continue;
            if (line[0] == '[')
            {
                sections[line[1..^1]] = current = [];
                continue;
            }

            var colon = line.IndexOf(':', StringComparison.Ordinal);
            current.Add((line[..colon], line[(colon + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        }

        return new UnicodeData(sections);
    }
}
