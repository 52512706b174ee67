namespace MergeKit.Core.Merging;

/// <summary>What a method wants to know of a model beside its weights, from the file that the recipe names under <c>statistics</c>.</summary>
public enum StatisticsKind
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A tensor of the weight's name and shape: one number per element.</summary>
    PerElement,

    /// <summary>For a weight <c>NAME.weight</c> [out, in] the tensor <c>NAME.gram</c> [in, in]: the mean over tokens of the inputs' products x x^T.</summary>
    InputProducts,
}
