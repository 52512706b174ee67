using System.Globalization;
using System.Text;

namespace MergeKit.Benchmarks;

/// <summary>Writes the table of Unicode facts that the tokenizers embed, from a folder of the Unicode Character Database
/// (Debian: package unicode-data, /usr/share/unicode). Arguments: the folder, the file to write.</summary>
internal static class UnicodeTables
{
    private const double Baseline = 9.0;

    /// <summary>Writes the table; returns the exit code.</summary>
    public static int Run(string[] args)
    {
        var folder = args[0];
        var age = Ranges(Path.Combine(folder, "DerivedAge.txt")).ToDictionary(
            r => r.Code, r => double.Parse(r.Value, CultureInfo.InvariantCulture));
        bool Old(int code) => age.TryGetValue(code, out var version) && version <= Baseline;
        var output = new StringBuilder();
        output.Append("# From the Unicode Character Database; code points in hexadecimal. Written by the benchmark program's verb unicode-tables.\n");
        Section(output, "assigned-8", [("", age.Where(a => a.Value < Baseline).Select(a => a.Key))]);
        Section(output, "assigned-9", [("", age.Where(a => Math.Abs(a.Value - Baseline) < 0.01).Select(a => a.Key))]);
        var data = File.ReadLines(Path.Combine(folder, "UnicodeData.txt")).Select(line => line.Split(';')).ToList();
        var records = data.Where(f => Old(Hex(f[0]))).ToList();
        Section(output, "combining-class", records.Where(f => f[3] != "0").GroupBy(f => f[3])
            .Select(g => (g.Key, g.Select(f => Hex(f[0])))));
        Mappings(output, "canonical", records.Where(f => f[5].Length > 0 && f[5][0] != '<').Select(f => (f[0], f[5])));
        Mappings(output, "compatibility", records.Where(f => f[5].StartsWith('<'))
            .Select(f => (f[0], f[5][(f[5].IndexOf('>', StringComparison.Ordinal) + 2)..])));
        Section(output, "composition-exclusions", [("", Ranges(Path.Combine(folder, "DerivedNormalizationProps.txt"))
            .Where(r => r.Value == "Full_Composition_Exclusion").Select(r => r.Code))]);
        Section(output, "scripts", Ranges(Path.Combine(folder, "Scripts.txt")).GroupBy(r => r.Value)
            .Select(g => (g.Key, g.Select(r => r.Code))));
        var marks = data.Where(f => f[2][0] == 'M').Select(f => Hex(f[0])).ToHashSet();
        Section(output, "alphabetic-marks", [("", Ranges(Path.Combine(folder, "PropList.txt"))
            .Where(r => r.Value == "Other_Alphabetic" && marks.Contains(r.Code)).Select(r => r.Code))]);
        File.WriteAllText(args[1], output.ToString());
        Console.WriteLine($"{args[1]}: {output.Length} characters");
        return 0;
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static IEnumerable<(int Code, string Value)> Ranges(string file)
    {
        foreach (var line in File.ReadLines(file))
        {
            var fields = line.Split('#')[0].Split(';', StringSplitOptions.TrimEntries);
            if (fields.Length < 2)
                continue;
            var ends = fields[0].Split("..");
            for (var code = Hex(ends[0]); code <= Hex(ends[^1]); code++)
                yield return (code, fields[1]);
        }
    }

    private static void Section(StringBuilder output, string name, IEnumerable<(string Key, IEnumerable<int> Codes)> groups)
    {
        output.Append('[').Append(name).Append("]\n");
        foreach (var (key, codes) in groups)
        {
            output.Append(key).Append(':');
            var sorted = codes.Distinct().Order().ToArray();
            for (int i = 0, j; i < sorted.Length; i = j)
            {
                for (j = i + 1; j < sorted.Length && sorted[j] == sorted[j - 1] + 1; j++) { }
                output.Append(' ').Append(sorted[i].ToString("X", CultureInfo.InvariantCulture));
                if (j > i + 1)
                    output.Append('-').Append(sorted[j - 1].ToString("X", CultureInfo.InvariantCulture));
            }

            output.Append('\n');
        }
    }

    private static void Mappings(StringBuilder output, string name, IEnumerable<(string Code, string Mapping)> entries)
    {
        output.Append('[').Append(name).Append("]\n");
        foreach (var (code, mapping) in entries)
            output.Append(code).Append(": ").Append(mapping).Append('\n');
    }
}
