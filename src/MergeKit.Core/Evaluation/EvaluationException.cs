using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Evaluation;

/// <summary>Why a request or a statistic has no result.</summary>
public enum EvaluationError
{
    /// <summary>A continuation has no token of its own.</summary>
    EmptyContinuation,

    /// <summary>There are too few items for the statistic.</summary>
    TooFewItems,

    /// <summary>The tokenizer has neither a BOS nor an EOS token to stand for an empty context.</summary>
    NoPrefixToken,

    /// <summary>A parameter is outside its range.</summary>
    InvalidParameter,
}

/// <summary>An evaluation that cannot be done with what was given.</summary>
public sealed class EvaluationException(EvaluationError error, string message) : MergeKitException(message)
{
    /// <summary>The cause.</summary>
    public EvaluationError Error => error;
}
