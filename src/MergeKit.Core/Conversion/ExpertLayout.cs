namespace MergeKit.Core.Conversion;

/// <summary>How a mixture's experts are stored.</summary>
public enum ExpertLayout
{
    /// <summary>One tensor per expert and matrix.</summary>
    Separate,

    /// <summary>All experts' gates and ups in one tensor, all downs in another.</summary>
    Packed,
}
