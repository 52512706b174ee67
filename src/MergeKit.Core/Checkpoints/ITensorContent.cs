namespace MergeKit.Core.Checkpoints;

/// <summary>Elements that are not stored as such but made when they are read: dequantised, adapted or merged. One seam for merging (chunks) and
/// inference (whole tensors). Thread-safe.</summary>
public interface ITensorContent
{
    /// <summary>The form in words: <c>Q4_K</c>, <c>NF4</c>, <c>LoRA</c>.</summary>
    string Form { get; }

    /// <summary>Writes the elements from <paramref name="start"/> on.</summary>
    void Read(long start, Span<float> destination);
}
