namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A task model moved by the difference between language models of two domains: l_task + beta (l_in - l_out), normalised, members in that
/// order (Dou et al. 2019).</summary>
/// <param name="beta">How far to move; any finite number.</param>
public sealed class DomainDifferentialCombiner(double beta) : LogitSumCombiner(nameof(beta), beta, 1, beta, -beta);
