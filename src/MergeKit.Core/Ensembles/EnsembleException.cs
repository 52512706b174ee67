using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Ensembles;

/// <summary>Why several laws cannot be combined into one.</summary>
public enum EnsembleError
{
    /// <summary>A linear mixture has a negative weight; negative evidence is log-linear.</summary>
    NegativeWeight,

    /// <summary>All weights are zero.</summary>
    ZeroWeightSum,

    /// <summary>No token is left that every member with a veto allows.</summary>
    EmptySupport,

    /// <summary>The members share no token.</summary>
    EmptyVocabulary,

    /// <summary>A member gives NaN or plus infinity.</summary>
    NotANumber,

    /// <summary>A parameter is outside its range.</summary>
    InvalidParameter,
}

/// <summary>A combination that has no result.</summary>
public sealed class EnsembleException(EnsembleError error, string message) : MergeKitException(message)
{
    /// <summary>The cause.</summary>
    public EnsembleError Error => error;
}
