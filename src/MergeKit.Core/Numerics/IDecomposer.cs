using System.Globalization;

namespace MergeKit.Core.Numerics;

/// <summary>Where matrices are decomposed: the CPU, or a device that an engine lends. Used from several threads.</summary>
public interface IDecomposer
{
    /// <summary>The place and the algorithm, as a plan names them.</summary>
    string Name { get; }

    /// <summary>Whether all triplets of a large matrix come sooner than a few by random projection.</summary>
    bool PrefersWhole { get; }

    /// <summary>What a thin decomposition costs, about.</summary>
    /// <param name="rows">The shorter side.</param>
    /// <param name="columns">The longer side.</param>
    /// <param name="threads">Threads of the CPU that work on it.</param>
    DecompositionCost Cost(long rows, long columns, int threads);

    /// <summary>Decomposes a matrix with no more rows than columns.</summary>
    /// <param name="rows">Its rows; overwritten.</param>
    /// <param name="loop">Where the work of the CPU is done.</param>
    /// <param name="step">Told what goes on, for progress; on the calling thread.</param>
    /// <exception cref="ArgumentException">More rows than columns.</exception>
    ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null);
}

/// <summary>What a decomposition costs, about.</summary>
/// <param name="Operations">Floating-point operations.</param>
/// <param name="Seconds">Time, at the rates that were measured where the benchmarks ran.</param>
public readonly record struct DecompositionCost(double Operations, double Seconds)
{
    /// <summary>Both, to the precision that they have.</summary>
    public string Sentence => string.Create(CultureInfo.InvariantCulture, $"about {Operations:0.0e0} floating-point operations and {Duration}");

    private string Duration => Seconds switch
    {
        < 1 => "less than a second",
        < 90 => string.Create(CultureInfo.InvariantCulture, $"{Seconds:0} s"),
        < 5400 => string.Create(CultureInfo.InvariantCulture, $"{Seconds / 60:0} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Seconds / 3600:0.0} h"),
    };

    /// <summary>Both costs together.</summary>
    public static DecompositionCost operator +(DecompositionCost first, DecompositionCost second) =>
        new(first.Operations + second.Operations, first.Seconds + second.Seconds);
}

/// <summary>Decomposes on the CPU: <see cref="ThinSvd"/>.</summary>
public sealed class CpuDecomposer : IDecomposer
{
    private const double OperationsPerSecond = 4e9;

    /// <inheritdoc/>
    public string Name => "the CPU (one-sided Jacobi rotations after a triangular factorization, double precision)";

    /// <inheritdoc/>
    public bool PrefersWhole => false;

    /// <inheritdoc/>
    public DecompositionCost Cost(long rows, long columns, int threads)
    {
        var operations = ThinSvd.Operations(rows, columns);
        return new DecompositionCost(operations, operations / (OperationsPerSecond * threads));
    }

    /// <inheritdoc/>
    public ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null) => ThinSvd.Of(rows, loop, step);
}
