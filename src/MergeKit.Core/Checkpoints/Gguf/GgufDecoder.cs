using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Turns stored tensors of a file into those of the model.</summary>
/// <param name="raw">The file's tensors as bytes.</param>
/// <param name="file">The file, for messages.</param>
/// <param name="form">The model's family and heads.</param>
/// <param name="problems">Receives what does not fit.</param>
internal sealed class GgufDecoder(Checkpoint raw, string file, GgufForm form, List<Problem> problems)
{
    /// <summary>The model's tensors that a stored one holds: one, or as many as are stacked.</summary>
    public IEnumerable<TensorInfo> Decode(GgufTensor tensor, GgufName rule, int? layer, string suffix)
    {
        var decoded = Decoded(tensor);
        if (rule.IsStacked && tensor.Shape.Count < 2)
        {
            problems.Add(Wrong(tensor, "an axis over the stacked tensors"));
            return [];
        }

        return rule.IsStacked
            ? Enumerable.Range(0, checked((int)Math.Min(tensor.Shape[0], int.MaxValue))).Select(part => Part(tensor, decoded, part, form.Family.ModelName(rule, layer, suffix, part)))
            : [Whole(tensor, decoded, rule, form.Family.ModelName(rule, layer, suffix, 0))];
    }

    /// <summary>A stored tensor under its own name, decoded; null where there is none.</summary>
    public TensorInfo? Plain(string name, GgufHeader header) => header.Tensors.Find(tensor => tensor.Name == name) is { } tensor ? Decoded(tensor) : null;

    private TensorInfo Decoded(GgufTensor tensor)
    {
        var stored = raw.Get(tensor.Name);
        return tensor.Type.Plain() is not null ? stored : TensorInfo.Made(tensor.Name, DType.F32, tensor.Shape, file, new GgufContent(raw, stored, tensor.Type));
    }

    private TensorInfo Whole(GgufTensor tensor, TensorInfo decoded, GgufName rule, string name)
    {
        if (rule.Change == GgufChange.OnePlus)
            return TensorInfo.Made(name, DType.F32, tensor.Shape, file, new ShiftedContent(raw, decoded, -1));
        if (rule.Change == GgufChange.Transposed && tensor.Shape.Count == 2)
            return TensorInfo.Made(name, decoded.DType, [tensor.Shape[1], tensor.Shape[0]], file, new TransposedContent(raw, decoded));
        if (rule.Change == GgufChange.Experts && tensor.Shape is [var experts, var outputs, var inputs])
            return TensorInfo.Made(name, DType.F32, [experts, inputs, outputs], file, new ExpertsTransposed(raw, decoded));
        var rows = form.RowsOf(rule.Change, tensor.Shape.Count == 0 ? 0 : tensor.Shape[0], out var wanted);
        if (wanted is not null)
            problems.Add(Wrong(tensor, wanted));
        return rows is null ? decoded with { Name = name }
            : TensorInfo.Made(name, decoded.DType, tensor.Shape, file, new RowsContent(raw, decoded, tensor.Shape.Count == 1 ? 1 : tensor.Shape[^1], rows.ToFile));
    }

    private TensorInfo Part(GgufTensor tensor, TensorInfo decoded, int part, string name)
    {
        IReadOnlyList<long> shape = [.. tensor.Shape.Skip(1)];
        var count = shape.Aggregate(1L, (product, extent) => product * extent);
        if (tensor.Type.Plain() is { } type)
            return new TensorInfo(name, type, shape, file, tensor.Offset + part * count * type.Size(), count * type.Size());
        var (columns, rows) = (shape[^1], count / Math.Max(1, shape[^1]));
        return TensorInfo.Made(name, DType.F32, shape, file, new RowsContent(raw, decoded, columns, row => part * rows + row));
    }

    private Problem Wrong(GgufTensor tensor, string wanted) => Problem.Error($"{file}: tensor '{tensor.Name}' is {TensorInfo.Text(tensor.Shape)}; {wanted} is wanted");
}
