using System.Globalization;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Conversion.Gguf;

/// <summary>A checkpoint's tensors as those of a GGUF file.</summary>
internal sealed class GgufTensors(Checkpoint checkpoint, GgufForm form, GgufOutput output, List<Problem> problems)
{
    private static readonly string[] Halves = ["gate", "up"];

    /// <summary>All of them, in the checkpoint's order.</summary>
    /// <param name="isIgnored">Whether a tensor of that name is used by nothing.</param>
    /// <param name="tiedHead">The output matrix where it is the embedding.</param>
    public List<GgufWriter.Item> Items(Func<string, bool> isIgnored, string? tiedHead)
    {
        var gates = new List<GgufWriter.Item>();
        var parts = new Dictionary<string, (GgufName Rule, SortedDictionary<int, TensorInfo> Tensors)>(StringComparer.Ordinal);
        foreach (var tensor in checkpoint.Tensors.Where(tensor => !isIgnored(tensor.Name) && tensor.Name != tiedHead))
        {
            if (HalfOf(tensor) is { } halves)
                gates.AddRange(halves);
            else if (form.Family.FromModel(tensor.Name) is not { } place)
                problems.Add(Problem.Error($"{checkpoint.Path}: tensor '{tensor.Name}' has no name in a GGUF file of architecture '{form.Family.Name}'"
                    + (tensor.Name.EndsWith("experts.gate_up_proj", StringComparison.Ordinal) || tensor.Name.EndsWith("experts.down_proj", StringComparison.Ordinal) ? "; unpack the experts first (--experts separate)" : "")));
            else if (parts.TryGetValue(place.File, out var known))
                known.Tensors[place.Part] = tensor;
            else
                parts[place.File] = (place.Rule, new SortedDictionary<int, TensorInfo> { [place.Part] = tensor });
        }

        var items = parts.Select(pair => Item(pair.Key, pair.Value.Rule, [.. pair.Value.Tensors.Values], pair.Value.Tensors.Keys.Last())).OfType<GgufWriter.Item>().ToList();
        items.AddRange(gates);
        if (form.Family.NeedsOutput && !parts.ContainsKey("output.weight") && items.Find(item => item.Name == "token_embd.weight") is { } embedding)
            items.Add(embedding with { Name = "output.weight" });
        return items;
    }

    /// <summary>Gates and ups of all experts, apart, or their biases; null for other tensors.</summary>
    private GgufWriter.Item[]? HalfOf(TensorInfo tensor)
    {
        if (form.Family.GateUp is not { } gateUp || !tensor.Name.StartsWith(form.Family.Layers, StringComparison.Ordinal))
            return null;
        var layer = tensor.Name[form.Family.Layers.Length..].Split('.')[0];
        var isBias = tensor.Name == $"{form.Family.Layers}{layer}.{gateUp}_bias";
        if ((tensor.Name != $"{form.Family.Layers}{layer}.{gateUp}" && !isBias) || !int.TryParse(layer, NumberStyles.None, CultureInfo.InvariantCulture, out _) || tensor.Shape.Count != (isBias ? 2 : 3) || tensor.Shape[^1] % 2 != 0)
            return null;
        return [.. Halves.Select((half, phase) =>
        {
            var name = $"blk.{layer}.ffn_{half}_exps.{(isBias ? "bias" : "weight")}";
            long[] shape = isBias ? [tensor.Shape[0], tensor.Shape[1] / 2] : [tensor.Shape[0], tensor.Shape[2] / 2, tensor.Shape[1]];
            return new GgufWriter.Item(name, TypeOf(shape, name), shape, Made(isBias ? new EverySecond(checkpoint, tensor, phase) : new ExpertsTransposed(checkpoint, tensor, 2, phase)));
        })];
    }

    /// <summary>Divisors of the rotary frequencies, where llama.cpp takes them from tensors.</summary>
    public static IEnumerable<GgufWriter.Item> Rotation(RopeSpec? rope)
    {
        if (rope is { Scaling: RopeScaling.Llama3 })
        {
            var plain = (rope with { Scaling = RopeScaling.None }).Frequencies(1);
            yield return Vector("rope_freqs.weight", [.. rope.Frequencies(1).Select((frequency, i) => (float)(plain[i] / frequency))]);
        }
        else if (rope is { Scaling: RopeScaling.LongRope })
        {
            yield return Vector("rope_factors_long.weight", [.. rope.LongFactors.Select(factor => (float)factor)]);
            yield return Vector("rope_factors_short.weight", [.. rope.ShortFactors.Select(factor => (float)factor)]);
        }
    }

    private static GgufWriter.Item Vector(string name, float[] values) =>
        new(name, GgufType.F32, [values.Length], (start, result, count) => values.AsSpan((int)start, count).CopyTo(result));

    private GgufWriter.Item? Item(string name, GgufName rule, IReadOnlyList<TensorInfo> tensors, int last)
    {
        var first = tensors[0];
        if (last != tensors.Count - 1 || tensors.Any(tensor => !tensor.Shape.SequenceEqual(first.Shape)))
        {
            problems.Add(Problem.Error(string.Create(CultureInfo.InvariantCulture, $"{checkpoint.Path}: '{first.Name}' and the others of its kind cannot be stacked: {tensors.Count} of {last + 1} are there, and all must have one shape")));
            return null;
        }

        if (rule.Change == GgufChange.Experts && first.Shape is [var experts, var rows, var columns])
            return new GgufWriter.Item(name, TypeOf([experts, columns, rows], name), [experts, columns, rows], Made(new ExpertsTransposed(checkpoint, first)));
        var transposed = rule.Change == GgufChange.Transposed && first.Shape.Count == 2;
        IReadOnlyList<long> shape = rule.IsStacked ? [tensors.Count, .. first.Shape] : transposed ? [first.Shape[1], first.Shape[0]] : first.Shape;
        return new GgufWriter.Item(name, TypeOf(shape, name), shape, rule.IsStacked ? Stacked(tensors) : transposed ? Made(new TransposedContent(checkpoint, first)) : Changed(first, rule.Change));
    }

    /// <summary>Vectors, norms, routers and positions are small, and stay float32.</summary>
    private GgufType TypeOf(IReadOnlyList<long> shape, string name)
    {
        if (shape.Count < 2 || name.EndsWith(".bias", StringComparison.Ordinal) || name.Contains("_norm", StringComparison.Ordinal) || name.Contains("ffn_gate_inp", StringComparison.Ordinal) || name == "position_embd.weight")
            return GgufType.F32;
        var type = output switch { GgufOutput.F32 => GgufType.F32, GgufOutput.F16 => GgufType.F16, GgufOutput.BF16 => GgufType.BF16, _ => GgufType.Q8_0 };
        if (shape[^1] % type.Block()!.Value.Elements == 0)
            return type;
        problems.Add(Problem.Warning($"tensor '{name}' has rows of {shape[^1]} elements, no multiple of {type.Block()!.Value.Elements}: written as F16"));
        return GgufType.F16;
    }

    private Action<long, float[], int> Changed(TensorInfo tensor, GgufChange change)
    {
        if (change == GgufChange.OnePlus)
            return Made(new ShiftedContent(checkpoint, tensor, 1));
        var rows = form.RowsOf(change, tensor.Shape.Count == 0 ? 0 : tensor.Shape[0], out var wanted);
        if (wanted is not null)
            problems.Add(Problem.Error($"{checkpoint.Path}: tensor '{tensor.Name}' is {tensor.ShapeText}; {wanted} is wanted"));
        return rows is null ? Stacked([tensor]) : Made(new RowsContent(checkpoint, tensor, tensor.Shape.Count == 1 ? 1 : tensor.Shape[^1], rows.ToModel));
    }

    private static Action<long, float[], int> Made(ITensorContent content) => (start, values, count) => content.Read(start, values.AsSpan(0, count));

    /// <summary>One tensor after the other.</summary>
    private Action<long, float[], int> Stacked(IReadOnlyList<TensorInfo> tensors) => (start, values, count) =>
    {
        var (size, scratch) = (tensors[0].ElementCount, new byte[count * sizeof(double)]);
        for (var done = 0; done < count;)
        {
            var (part, within) = Math.DivRem(start + done, size);
            var take = (int)Math.Min(size - within, count - done);
            checkpoint.Read(tensors[(int)part], within, values.AsSpan(done, take), scratch);
            done += take;
        }
    };
}
