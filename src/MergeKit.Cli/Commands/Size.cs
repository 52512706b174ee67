using System.CommandLine.Parsing;
using System.Globalization;

namespace MergeKit.Cli.Commands;

/// <summary>Sizes such as 5000000000, 5GB, 5B (mergekit's billion), 500MiB.</summary>
internal static class Size
{
    private static readonly (string Suffix, double Factor)[] Suffixes =
    [
        ("KIB", 1L << 10), ("MIB", 1L << 20), ("GIB", 1L << 30), ("TIB", 1L << 40),
        ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("B", 1e9), ("T", 1e12),
    ];

    public static long Parse(ArgumentResult result)
    {
        var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        if (TryParse(text, out var size))
            return size;
        result.AddError($"'{text}' is not a size; wanted a positive number of bytes such as 5000000000, 5GB or 500MiB");
        return 0;
    }

    public static bool TryParse(string text, out long size)
    {
        var upper = text.Trim().ToUpperInvariant();
        var (suffix, factor) = Suffixes.FirstOrDefault(pair => upper.EndsWith(pair.Suffix, StringComparison.Ordinal));
        var number = suffix is null ? upper : upper[..^suffix.Length];
        var valid = double.TryParse(number, NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var value);
        var bytes = value * (suffix is null ? 1 : factor);
        size = valid && bytes is >= 1 and < 9e18 ? (long)bytes : 0;
        return size > 0;
    }
}
