using System.Numerics;
using System.Text;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>For every token of a pivot the member's token of least edit distance (FuseLLM, Wan et al. 2024).</summary>
/// <param name="Sources">Per pivot token the member's id; the lowest of equally near ones, -1 for an id without a token.</param>
/// <param name="Distances">Per pivot token the Levenshtein distance in code points, with <c>▁</c> and <c>Ġ</c> taken as one.</param>
public sealed record MinedVocabulary(int[] Sources, int[] Distances)
{
    /// <summary>Finds the nearest tokens.</summary>
    /// <param name="pivot">The pivot's tokens by id; null for an id without one.</param>
    /// <param name="member">The member's tokens by id.</param>
    /// <exception cref="EnsembleException">The member has no token.</exception>
    public static MinedVocabulary Find(IReadOnlyList<string?> pivot, IReadOnlyList<string?> member)
    {
        var exact = new Dictionary<string, int>(StringComparer.Ordinal);
        var byLength = new SortedDictionary<int, List<Candidate>>();
        for (var id = 0; id < member.Count; id++)
        {
            if (member[id] is not { } token || !exact.TryAdd(Unified(token), id))
                continue;
            var candidate = new Candidate(id, Runes(Unified(token)));
            if (!byLength.TryGetValue(candidate.Runes.Length, out var bucket))
                byLength[candidate.Runes.Length] = bucket = [];
            bucket.Add(candidate);
        }

        if (exact.Count == 0)
            throw new EnsembleException(EnsembleError.EmptyVocabulary, "a member's vocabulary has no token");
        var (sources, distances) = (new int[pivot.Count], new int[pivot.Count]);
        Parallel.For(0, pivot.Count, i => (sources[i], distances[i]) =
            pivot[i] is not { } token ? (-1, 0) : exact.TryGetValue(Unified(token), out var id) ? (id, 0) : Nearest(Runes(Unified(token)), byLength));
        return new MinedVocabulary(sources, distances);
    }

    /// <summary>Lengths outwards from the token's own: beyond the best distance so far none can be as near.</summary>
    private static (int Id, int Distance) Nearest(int[] token, SortedDictionary<int, List<Candidate>> byLength)
    {
        var (best, distance) = (-1, int.MaxValue);
        var signature = Candidate.Sign(token);
        foreach (var (length, bucket) in byLength.OrderBy(pair => Math.Abs(pair.Key - token.Length)))
        {
            if (Math.Abs(length - token.Length) > distance)
                break;
            foreach (var candidate in bucket)
            {
                if (candidate.LeastDistance(signature) > distance)
                    continue;
                var found = Distance(token, candidate.Runes, distance);
                if (found < distance || (found == distance && candidate.Id < best))
                    (best, distance) = (candidate.Id, found);
            }
        }

        return (best, distance);
    }

    /// <summary>Levenshtein distance; anything above <paramref name="limit"/> where it is larger than that.</summary>
    private static int Distance(int[] a, int[] b, int limit)
    {
        Span<int> row = b.Length < 256 ? stackalloc int[b.Length + 1] : new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
            row[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var (diagonal, least) = (row[0], row[0] = i);
            for (var j = 1; j <= b.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                (diagonal, least) = (above, Math.Min(least, row[j]));
            }

            if (least > limit)
                return least;
        }

        return row[b.Length];
    }

    private static string Unified(string token) => token.Replace('▁', 'Ġ');

    private static int[] Runes(string token) => [.. token.EnumerateRunes().Select(rune => rune.Value)];

    /// <summary>A token with the set of its code points folded into 64 bits.</summary>
    private readonly record struct Candidate(int Id, int[] Runes)
    {
        private readonly ulong _signature = Sign(Runes);

        public static ulong Sign(int[] runes) => runes.Aggregate(0UL, (bits, rune) => bits | (1UL << ((rune * 37) & 63)));

        /// <summary>Every code point that the other lacks costs an edit; one edit can mend one on each side.</summary>
        public int LeastDistance(ulong other) =>
            Math.Max(BitOperations.PopCount(_signature & ~other), BitOperations.PopCount(other & ~_signature));
    }
}
