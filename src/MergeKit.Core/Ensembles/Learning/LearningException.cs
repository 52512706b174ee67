using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Why weights cannot be learned or used.</summary>
public enum LearningError
{
    /// <summary>A position has probability 0 under every member that may be used, so the likelihood is 0 whatever the weights.</summary>
    ZeroProbability,

    /// <summary>Sizes do not belong together, or a number is not one.</summary>
    InvalidInput,
}

/// <summary>Weights that cannot be learned from what was given.</summary>
public sealed class LearningException(LearningError error, string message) : MergeKitException(message)
{
    /// <summary>The cause.</summary>
    public LearningError Error => error;
}
