using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Settles the shape of an output tensor.</summary>
internal static class ShapeAgreement
{
    /// <summary>The shape that all sources are read with, or null with a complaint. Only embeddings and heads may differ, in their first
    /// axis, and only for methods that cut them: the cut leaves the leading rows.</summary>
    public static IReadOnlyList<long>? Agree(
        MergeMethod method, List<(SliceSource Source, TensorInfo Tensor)> found, bool isVocabulary, string name, GroupedProblems problems)
    {
        var reference = found.Find(one => one.Source.IsBase).Tensor ?? found[0].Tensor;
        if (found.TrueForAll(one => one.Tensor.Shape.SequenceEqual(reference.Shape)))
            return reference.Shape;
        var sameWidth = isVocabulary && found.TrueForAll(one => one.Tensor.Shape.Count == 2 && one.Tensor.Shape[1] == reference.Shape[1]);
        var rows = found.Min(one => one.Tensor.Shape.Count > 0 ? one.Tensor.Shape[0] : 0);
        if (sameWidth && method.VocabularyCut == VocabularyCut.ToSmallest)
            return [rows, reference.Shape[1]];
        if (sameWidth && method.VocabularyCut == VocabularyCut.ToBase && rows == reference.Shape[0])
            return reference.Shape;
        var shapes = found.Select(one => (one.Source.Model, one.Tensor.ShapeText)).ToList();
        problems.Add(Complaint(method, sameWidth, shapes, name), $"{name}: {string.Join(", ", shapes.Select(one => $"{one.Model} {one.ShapeText}"))}");
        return null;
    }

    /// <summary>The shape of a tensor with a row per token whose rows are numbered anew: only the rows' size must agree.</summary>
    public static IReadOnlyList<long>? WithRows(int rows, List<(SliceSource Source, TensorInfo Tensor)> found, string name, GroupedProblems problems)
    {
        var reference = found[0].Tensor.Shape.Skip(1).ToList();
        if (found.TrueForAll(one => one.Tensor.Shape.Skip(1).SequenceEqual(reference)))
            return [rows, .. reference];
        problems.Add("shape mismatch: the models' embeddings have rows of different sizes, which cannot be merged",
            $"{name}: {string.Join(", ", found.Select(one => $"{one.Source.Model} {one.Tensor.ShapeText}"))}");
        return null;
    }

    private static string Complaint(MergeMethod method, bool sameWidth, List<(LoadedModel Model, string ShapeText)> shapes, string name)
    {
        var models = string.Join(", ", shapes.Select(one => $"'{one.Model}'"));
        return sameWidth && method.VocabularyCut == VocabularyCut.ToBase
            ? $"shape mismatch: the base model has more rows in {name} than a fine-tune among {models}, so its rows cannot be cut to the base's"
            : $"shape mismatch between {models}: tensors of different sizes cannot be merged";
    }
}
