using System.Text.RegularExpressions;
using MergeKit.Core.Merging;

namespace MergeKit.Inference.Statistics;

/// <summary>Which statistics to record, and how.</summary>
/// <param name="Kind">Input products (for regmean), or one number per element: the diagonal of the Fisher information.</param>
/// <param name="Window">Tokens of one sequence.</param>
/// <param name="MostTokens">Stop after so many tokens.</param>
/// <param name="Threads">Workers.</param>
public sealed record StatisticsOptions(StatisticsKind Kind, int Window, long MostTokens, int Threads)
{
    /// <summary>Only weights whose names this finds; null: all.</summary>
    public Regex? Filter { get; init; }

    /// <summary>Fisher information: whether labels are the text's tokens (the empirical Fisher) instead of draws from the model.</summary>
    public bool LabelsOfText { get; init; }

    /// <summary>Fisher information: whether every token is an example of its own, instead of every sequence.</summary>
    public bool PerToken { get; init; }

    /// <summary>Fisher information: decides the sampled labels.</summary>
    public ulong Seed { get; init; }
}

/// <summary>What was recorded.</summary>
/// <param name="Tensors">The tensors of the statistics file.</param>
/// <param name="Tokens">The tokens that the model was run on.</param>
public sealed record RecordedStatistics(IReadOnlyList<Core.Checkpoints.Writing.FloatTensor> Tensors, long Tokens);
