using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Vocabularies;
using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Ensembles;

/// <summary>An ensemble's ids and where each member has them. The pivot's ids come first and are its own; in a union the others' tokens follow.</summary>
/// <param name="Shared">The ids as text.</param>
/// <param name="Sources">Per member and id of the ensemble the member's id whose logit is read, or -1.</param>
/// <param name="Own">Per member the ensemble's ids of its own tokens, in the order of its ids; -1 for an id without a token.</param>
internal sealed record SharedMap(SharedTokens Shared, IReadOnlyList<int[]> Sources, IReadOnlyList<int[]> Own)
{
    /// <summary>Builds the map.</summary>
    /// <exception cref="EnsembleException">No token is shared.</exception>
    public static SharedMap Build(string mode, IReadOnlyList<Tokenizer> tokenizers, int pivot)
    {
        var tokens = tokenizers.Select(Tokens).ToList();
        var ids = new EnsembleIds(tokens[pivot]);
        if (mode is "union" or "topk_union")
            for (var k = 0; k < tokens.Count; k++)
                ids.Add(tokens[k], k);
        else if (mode == "intersection")
            SharedVocabulary.Intersection(tokens);
        var shared = Describe(ids, tokenizers, pivot);
        var own = tokens.Select(list => list.Select(token => token is null ? -1 : ids.Find(token)).ToArray()).ToList();
        var sources = tokens.Select((list, k) => mode == "mined" && k != pivot ? Mine(tokens[pivot], list) : ids.Sources(list)).ToList();
        if (mode == "intersection")
            KeepShared(sources);
        if (mode == "topk_union")
            for (var k = 0; k < sources.Count; k++)
                FillIn(sources[k], shared, tokenizers[k]);
        return new SharedMap(shared, sources, own);
    }

    /// <summary>A tokenizer's tokens by id. Tokens with a role go by it: the end of a text is the same token whatever it is called.</summary>
    private static string?[] Tokens(Tokenizer tokenizer)
    {
        var tokens = Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.IdToToken).ToArray();
        foreach (var (id, role) in new[] { (tokenizer.PadId, "\0pad"), (tokenizer.UnkId, "\0unk"), (tokenizer.BosId, "\0begin"), (tokenizer.EosId, "\0end") })
            if (id is { } found && found < tokens.Length)
                tokens[found] = role;
        return tokens;
    }

    private static SharedTokens Describe(EnsembleIds ids, IReadOnlyList<Tokenizer> tokenizers, int pivot)
    {
        var bytes = tokenizers.Select(TokenBytes.Of).ToList();
        var spelt = ids.Origins(pivot).Select(origin => bytes[origin.Member][origin.Id]).ToList();
        var names = ids.Origins(pivot).Select((origin, i) => spelt[i] is null ? tokenizers[origin.Member].IdToToken(origin.Id) : null).ToList();
        return new SharedTokens(spelt, names, tokenizers[pivot].BosId, tokenizers[pivot].EosId, TokenBytes.HasLeadingSpace(tokenizers[pivot]));
    }

    /// <summary>Nearest tokens; what has a role is matched by it alone.</summary>
    private static int[] Mine(string?[] pivot, string?[] member)
    {
        static string? Plain(string? token) => token is ['\0', ..] ? null : token;
        var mined = MinedVocabulary.Find([.. pivot.Select(Plain)], [.. member.Select(Plain)]);
        return [.. mined.Sources.Select((source, i) => pivot[i] is ['\0', ..] ? Array.IndexOf(member, pivot[i]) : source)];
    }

    private static void KeepShared(List<int[]> sources)
    {
        for (var i = 0; i < sources[0].Length; i++)
            if (sources.Exists(own => own[i] < 0))
                sources.ForEach(own => own[i] = -1);
    }

    /// <summary>A token that the member lacks takes the logit of the first piece into which the member cuts its text.</summary>
    private static void FillIn(int[] sources, SharedTokens shared, Tokenizer member)
    {
        var space = TokenBytes.HasLeadingSpace(member);
        for (var i = 0; i < sources.Length; i++)
        {
            if (sources[i] >= 0 || shared.Bytes[i] is not { } bytes)
                continue;
            var text = System.Text.Encoding.UTF8.GetString(bytes);
            if (!text.Contains('\uFFFD', StringComparison.Ordinal) && member.Encode(space && text is [' ', _, ..] ? text[1..] : text, addSpecialTokens: false) is [var piece, ..])
                sources[i] = piece;
        }
    }

    /// <summary>Tokens by their id in the ensemble.</summary>
    private sealed class EnsembleIds
    {
        private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
        private readonly List<(int Member, int Id)> _further = [];
        private readonly int _pivotSize;

        public EnsembleIds(string?[] pivot)
        {
            _pivotSize = pivot.Length;
            for (var id = 0; id < pivot.Length; id++)
                if (pivot[id] is { } token)
                    _ids.TryAdd(token, id);
        }

        public void Add(string?[] tokens, int member)
        {
            for (var id = 0; id < tokens.Length; id++)
                if (tokens[id] is { } token && _ids.TryAdd(token, _pivotSize + _further.Count))
                    _further.Add((member, id));
        }

        public int Find(string token) => _ids.GetValueOrDefault(token, -1);

        public IEnumerable<(int Member, int Id)> Origins(int pivot) => Enumerable.Range(0, _pivotSize).Select(id => (pivot, id)).Concat(_further);

        public int[] Sources(string?[] tokens)
        {
            var sources = new int[_pivotSize + _further.Count];
            Array.Fill(sources, -1);
            for (var id = tokens.Length - 1; id >= 0; id--)
                if (tokens[id] is { } token && Find(token) is >= 0 and var place)
                    sources[place] = id;
            return sources;
        }
    }
}
