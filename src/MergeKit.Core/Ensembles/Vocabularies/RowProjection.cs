using System.Numerics;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>Reads a member's row in another vocabulary.</summary>
public static class RowProjection
{
    /// <summary>projected[i] = row[sources[i]]; minus infinity where the source is -1.</summary>
    public static void Project<T>(ReadOnlySpan<T> row, ReadOnlySpan<int> sources, Span<T> projected)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (var i = 0; i < sources.Length; i++)
            projected[i] = sources[i] < 0 ? T.NegativeInfinity : row[sources[i]];
    }

    /// <summary>The probability that a row gives to what its projection kept. A source must not stand twice.</summary>
    public static double KeptMass<T>(ReadOnlySpan<T> row, ReadOnlySpan<T> projected)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => Math.Exp(RowMath.LogSumExp(projected) - RowMath.LogSumExp(row));
}
