namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>One model with and without a context: (1 + alpha) z(with) - alpha z(without), normalised, members in that order (Shi et al. 2023).</summary>
/// <param name="alpha">How much more the context is to count; 0 changes nothing.</param>
public sealed class ContextAwareCombiner(double alpha) : LogitSumCombiner(nameof(alpha), alpha, 1 + alpha, -alpha);
