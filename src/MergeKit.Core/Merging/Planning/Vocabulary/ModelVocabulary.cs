using MergeKit.Core.Architectures;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>One model's tokens and the rows it has for them.</summary>
/// <param name="Model">The model.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Limit">Rows of its embedding that its configuration counts: tokens with this id or a higher one have none.</param>
internal sealed record ModelVocabulary(LoadedModel Model, Tokenizer Tokenizer, int Limit)
{
    /// <summary>Rows of its embedding; int.MaxValue where no embedding is known.</summary>
    public int StoredRows { get; } = RowsOf(Model);

    /// <summary>The row of a token, or -1.</summary>
    public int RowOf(string token) => Tokenizer.Vocabulary.TryGetValue(token, out var id) && id < Limit ? id : -1;

    /// <summary>Rows that count for a model: what the configuration says, and no more than there are.</summary>
    public static int LimitOf(LoadedModel model) => (int)Math.Min(model.Config is { } config ? VocabularySize(config) : int.MaxValue, RowsOf(model));

    /// <summary>What a configuration says of the vocabulary; int.MaxValue where it says nothing.</summary>
    public static long VocabularySize(Checkpoints.ModelConfig config) =>
        config.GetInt("vocab_size") ?? (config.Json["text_config"] is System.Text.Json.Nodes.JsonObject text && text["vocab_size"] is System.Text.Json.Nodes.JsonValue value
            && value.TryGetValue<long>(out var size) ? size : int.MaxValue);

    /// <summary>Rows of a model's embedding; int.MaxValue where no embedding is known.</summary>
    public static int RowsOf(LoadedModel model) =>
        model.Weights.FirstOrDefault(weight => weight.Role == TensorRole.Embedding) is { } embedding && model.Find(embedding, null) is { Shape: [var rows, _] }
            ? (int)Math.Min(rows, int.MaxValue) : int.MaxValue;
}
