namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>What became of one model's tokens.</summary>
/// <param name="Model">The model.</param>
/// <param name="Tokens">Tokens that it has rows for.</param>
/// <param name="Kept">Tokens that keep their number.</param>
/// <param name="Moved">Tokens that get another number.</param>
/// <param name="Dropped">Tokens that the result does not have.</param>
/// <param name="Lacking">Tokens of the result that the model has no row for.</param>
public sealed record ModelTokens(string Model, int Tokens, int Kept, int Moved, int Dropped, int Lacking);

/// <summary>What a change of vocabulary did.</summary>
/// <param name="Source">Where the vocabulary comes from, in words.</param>
/// <param name="Tokens">Tokens of the result.</param>
/// <param name="Rows">Rows of the result's embedding.</param>
/// <param name="Models">What became of each model's tokens.</param>
/// <param name="Added">Tokens that the base (or first) model does not have.</param>
/// <param name="Averaged">Tokens whose row, in models that lack them, is the mean of those that have them.</param>
/// <param name="FromBase">Tokens whose row, in models that lack them, is the base's.</param>
/// <param name="FromOwner">Tokens whose row, in all models, is that of the only one that has them.</param>
/// <param name="Zero">Tokens that no model has: zeros.</param>
/// <param name="Ruled">Tokens with a rule of their own.</param>
public sealed record VocabularyReport(
    string Source, int Tokens, int Rows, IReadOnlyList<ModelTokens> Models, IReadOnlyList<string> Added, IReadOnlyList<string> Averaged,
    int FromBase, int FromOwner, IReadOnlyList<string> Zero, IReadOnlyList<string> Ruled)
{
    /// <summary>Rows that are no token's.</summary>
    public int Padding => Rows - Tokens;

    /// <summary>The report in sentences.</summary>
    public IEnumerable<string> Sentences()
    {
        yield return $"vocabulary: {Source}: {Tokens:N0} tokens in {Rows:N0} rows{(Padding > 0 ? $" ({Padding:N0} of them padding: the mean of the others)" : "")}; "
            + $"{Added.Count:N0} that the base does not have{Some(Added)}";
        if (FromBase + FromOwner + Averaged.Count + Zero.Count + Ruled.Count > 0)
            yield return $"rows that a model lacks: {FromOwner:N0} from the only model that has the token, {FromBase:N0} from the base, {Averaged.Count:N0} averaged over those that have it{Some(Averaged)}, "
                + $"{Zero.Count:N0} zero{Some(Zero)}, {Ruled.Count:N0} by rule{Some(Ruled)}";
        foreach (var model in Models)
            yield return $"{model.Model}: {model.Tokens:N0} tokens, {model.Kept:N0} keep their number, {model.Moved:N0} moved, {model.Dropped:N0} dropped, {model.Lacking:N0} of the result's lacking";
    }

    private static string Some(IReadOnlyList<string> tokens) =>
        tokens.Count == 0 ? "" : $" ({string.Join(", ", tokens.Take(4).Select(token => $"'{token}'"))}{(tokens.Count > 4 ? ", ..." : "")})";
}
