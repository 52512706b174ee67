namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>How many code points a tree can match.</summary>
internal static class PatternWidth
{
    private const int Most = 1 << 20;

    /// <summary>The fewest and the most; -1 is without bound.</summary>
    public static (int Min, int Max) Of(PatternNode node)
    {
        switch (node)
        {
            case OneOf:
                return (1, 1);
            case Chain chain:
                return chain.Parts.Select(Of).Aggregate((0, 0), Add);
            case Choice choice:
                var widths = choice.Parts.Select(Of).ToArray();
                return (widths.Min(w => w.Min), widths.Any(w => w.Max < 0) ? -1 : widths.Max(w => w.Max));
            case Repeat repeat:
                var (min, max) = Of(repeat.Part);
                return (Cap((long)min * repeat.Min), max < 0 || repeat.Max < 0 ? -1 : Cap((long)max * repeat.Max));
            case Capture capture:
                return Of(capture.Part);
            case Atomic atomic:
                return Of(atomic.Part);
            case BackReference:
                return (0, -1);
            default:
                return (0, 0);
        }
    }

    private static (int Min, int Max) Add((int Min, int Max) a, (int Min, int Max) b) =>
        (Cap((long)a.Min + b.Min), a.Max < 0 || b.Max < 0 ? -1 : Cap((long)a.Max + b.Max));

    private static int Cap(long width) => (int)Math.Min(width, Most);
}
