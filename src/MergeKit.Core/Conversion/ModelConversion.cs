using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;

namespace MergeKit.Core.Conversion;

/// <summary>What to change.</summary>
public sealed record ConversionOptions
{
    /// <summary>The number of key-value heads; null: as they are.</summary>
    public int? KeyValueHeads { get; init; }

    /// <summary>true: lm_head is left out where it equals the embedding; false: it is written apart; null: as it is.</summary>
    public bool? TieHead { get; init; }

    /// <summary>How experts are stored; null: as they are.</summary>
    public ExpertLayout? Experts { get; init; }

    /// <summary>The vocabulary's rows are rounded up to a multiple of this; null: as they are.</summary>
    public int? VocabularyMultiple { get; init; }

    /// <summary>A model whose tensors fill in for missing ones; null: none.</summary>
    public string? FillFrom { get; init; }
}

/// <summary>Changes the form of a model: heads, tying, experts, vocabulary, missing tensors. The result is computed when it is read.</summary>
public static class ModelConversion
{
    /// <summary>Applies the options; takes over the model, also where it fails.</summary>
    /// <exception cref="InputException">An option cannot be applied to this model.</exception>
    public static ModelInput Apply(ModelInput model, ConversionOptions options)
    {
        try
        {
            var draft = new ModelDraft(model);
            if (options.FillFrom is { } other)
                Fill(draft, ModelInput.Open(other));
            if (options.KeyValueHeads is { } heads)
                HeadPooling.Apply(draft, heads);
            if (options.Experts is { } layout)
                ExpertPacking.Apply(draft, layout);
            if (options.TieHead is { } tie)
                Tie(draft, tie);
            if (options.VocabularyMultiple is { } multiple)
                Pad(draft, multiple);
            return draft.Finish();
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Tensors that the other model has and this one lacks.</summary>
    private static void Fill(ModelDraft draft, ModelInput other)
    {
        draft.Own(other);
        var problems = new List<Problem>();
        foreach (var tensor in other.Checkpoint.Tensors)
            if (draft.Find(tensor.Name) is not { } own)
                draft.Set(tensor);
            else if (!own.Shape.SequenceEqual(tensor.Shape))
                problems.Add(Problem.Error($"tensor '{tensor.Name}' is {own.ShapeText} in {draft.Name}, but {tensor.ShapeText} in {other.Source}: the models do not fit each other"));
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    private static void Tie(ModelDraft draft, bool tie)
    {
        var weights = draft.RequireArchitecture("tying or untying lm_head").Weights(draft.TypedConfig);
        if (weights.FirstOrDefault(weight => weight.Role == TensorRole.Head && weight.TiedTo is not null) is not { } head || draft.Find(head.TiedTo!) is not { } embedding)
            throw new InputException($"{draft.Name}: '{draft.TypedConfig.Architecture}' has no head that can be tied to an embedding");
        var own = head.AllNames.Select(draft.Find).FirstOrDefault(tensor => tensor is not null);
        if (tie && own is not null)
        {
            RequireEqual(draft, own, embedding);
            draft.Remove(own.Name);
        }
        else if (!tie && own is null)
        {
            draft.Set(embedding with { Name = head.Name });
        }

        draft.Config["tie_word_embeddings"] = tie;
    }

    private static void RequireEqual(ModelDraft draft, TensorInfo head, TensorInfo embedding)
    {
        var (a, b) = (draft.Stored.ReadAll(head), draft.Stored.ReadAll(embedding));
        var different = a.Length != b.Length ? Math.Max(a.Length, b.Length) : a.Zip(b).Count(pair => !pair.First.Equals(pair.Second));
        if (different > 0)
            throw new InputException($"{draft.Name}: '{head.Name}' {head.ShapeText} and '{embedding.Name}' {embedding.ShapeText} differ in {different:N0} elements: tied, the model would be another one");
    }

    private static void Pad(ModelDraft draft, int multiple)
    {
        var weights = draft.RequireArchitecture("padding the vocabulary").Weights(draft.TypedConfig);
        var rows = 0L;
        foreach (var weight in weights.Where(weight => weight.Role is TensorRole.Embedding or TensorRole.Head))
        {
            if (weight.AllNames.Select(draft.Find).FirstOrDefault(tensor => tensor is not null) is not { } tensor)
                continue;
            rows = (tensor.Shape[0] + multiple - 1) / multiple * multiple;
            if (rows == tensor.Shape[0])
                continue;
            draft.Set(TensorInfo.Made(tensor.Name, tensor.DType, [rows, tensor.Shape[1]], tensor.File, new PaddedRowsContent(draft.Stored, tensor)));
        }

        draft.Config["vocab_size"] = rows;
    }
}
