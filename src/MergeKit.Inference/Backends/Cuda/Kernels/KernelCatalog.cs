namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Variants of every kernel, for the tests that compile them all.</summary>
internal static class KernelCatalog
{
    /// <summary>At least one variant of every source and entry.</summary>
    public static IEnumerable<KernelSpec> All() =>
    [
        .. Norm.Variants(), .. Embedding.Variants(), .. Elementwise.Variants(), .. LoadWeights.Variants(), .. QkvPrepare.Variants(), .. ScoreHead.Variants(),
        .. AttentionPlain.Variants(), .. AttentionMma.Variants(), .. AttentionHopper.Variants(), .. AttentionDecode.Variants(),
        .. SkinnyProduct.Variants(), .. GroupedProduct.Variants(), .. Routing.Variants(), .. LatentPrepare.Variants(), .. CombineRows.Variants(), .. DrawRows.Variants(),
        .. MergeKernels.Variants(),
    ];
}
