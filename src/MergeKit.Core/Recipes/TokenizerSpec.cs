using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>Where the result's vocabulary comes from.</summary>
public enum TokenizerSourceKind
{
    /// <summary>The base's tokens, then those that only others have.</summary>
    Union,

    /// <summary>The base model's tokenizer.</summary>
    Base,

    /// <summary>The tokenizer of the model named.</summary>
    Model,
}

/// <summary>How the vocabularies of the inputs are brought together.</summary>
/// <param name="Kind">Where the vocabulary comes from.</param>
/// <param name="Model">The model, for <see cref="TokenizerSourceKind.Model"/> only.</param>
/// <param name="Tokens">Rules for single tokens, in the order written.</param>
/// <param name="PadToMultipleOf">The embedding's row count is rounded up to a multiple of this; at least 1.</param>
/// <param name="Location">Where it was written.</param>
public sealed record TokenizerSpec(
    TokenizerSourceKind Kind, ModelReference? Model, IReadOnlyList<TokenRule> Tokens, int? PadToMultipleOf, SourceLocation Location)
{
    /// <summary>All models named, in order.</summary>
    public IEnumerable<ModelReference> Models()
    {
        if (Model is not null)
            yield return Model;
        foreach (var rule in Tokens)
            if (rule.Source?.Model is { } model)
                yield return model;
    }
}

/// <summary>Where the embedding of one token comes from.</summary>
/// <param name="Token">The token's text.</param>
/// <param name="Source">The row that models without the token get; null leaves the choice to the general rule.</param>
/// <param name="Force">Use the row for all models, also those that have the token.</param>
/// <param name="Location">Where the rule stands.</param>
public sealed record TokenRule(string Token, TokenSource? Source, bool Force, SourceLocation Location);

/// <summary>The kinds of rows that a token can get.</summary>
public enum TokenSourceKind
{
    /// <summary>The same token's row in the model named.</summary>
    Model,

    /// <summary>The row of a token, given by text or number, in the model named.</summary>
    ModelToken,

    /// <summary>A row of zeros.</summary>
    Zero,
}

/// <summary>A row of an embedding matrix.</summary>
/// <param name="Kind">What kind of row.</param>
/// <param name="Model">The model that has it; null for <see cref="TokenSourceKind.Zero"/>.</param>
/// <param name="Token">The token's text, for <see cref="TokenSourceKind.ModelToken"/> given by text.</param>
/// <param name="TokenId">The token's number, for <see cref="TokenSourceKind.ModelToken"/> given by number.</param>
/// <param name="Location">Where it was written.</param>
public sealed record TokenSource(TokenSourceKind Kind, ModelReference? Model, string? Token, int? TokenId, SourceLocation Location);
