namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>One vocabulary for several members that have different ones.</summary>
/// <param name="Tokens">The shared tokens.</param>
/// <param name="Sources">Per member and shared token the member's id, or -1 where it has none.</param>
public sealed record SharedVocabulary(IReadOnlyList<string> Tokens, IReadOnlyList<int[]> Sources)
{
    /// <summary>The strings that all members have, in the first member's order.</summary>
    /// <param name="members">Per member its tokens by id; null for an id without one.</param>
    /// <exception cref="EnsembleException">There is none.</exception>
    public static SharedVocabulary Intersection(IReadOnlyList<IReadOnlyList<string?>> members)
    {
        var ids = members.Select(Index).ToList();
        List<string> tokens = [.. Ordered(members[0]).Where(token => ids.TrueForAll(own => own.ContainsKey(token)))];
        return tokens.Count > 0 ? new SharedVocabulary(tokens, Lookup(tokens, ids))
            : throw new EnsembleException(EnsembleError.EmptyVocabulary, "the members' vocabularies have no token in common");
    }

    /// <summary>All strings, in order of first appearance.</summary>
    /// <inheritdoc cref="Intersection" path="/param"/>
    public static SharedVocabulary Union(IReadOnlyList<IReadOnlyList<string?>> members)
    {
        List<string> tokens = [.. members.SelectMany(Ordered).Distinct(StringComparer.Ordinal)];
        return tokens.Count > 0 ? new SharedVocabulary(tokens, Lookup(tokens, [.. members.Select(Index)]))
            : throw new EnsembleException(EnsembleError.EmptyVocabulary, "the members' vocabularies have no token at all");
    }

    private static IEnumerable<string> Ordered(IReadOnlyList<string?> tokens) => tokens.OfType<string>().Distinct(StringComparer.Ordinal);

    /// <summary>The lowest id of each string.</summary>
    private static Dictionary<string, int> Index(IReadOnlyList<string?> tokens)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var id = 0; id < tokens.Count; id++)
            if (tokens[id] is { } token)
                ids.TryAdd(token, id);
        return ids;
    }

    private static int[][] Lookup(List<string> tokens, List<Dictionary<string, int>> members) =>
        [.. members.Select(ids => tokens.Select(token => ids.GetValueOrDefault(token, -1)).ToArray())];
}
