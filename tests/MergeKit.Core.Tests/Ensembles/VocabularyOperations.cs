using System.Numerics;
using System.Text;
using System.Text.Json.Nodes;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Ensembles.Vocabularies;
using MergeKit.Core.Tests.Evaluation;
using static MergeKit.Core.Tests.Ensembles.CombinationOperations;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>Members with different vocabularies, each rule in double and in single precision.</summary>
internal sealed class VocabularyOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("vocab.intersection", Intersection<double>) { Single = Intersection<float> },
        new("vocab.union", Union<double>) { Single = Union<float> },
        new("vocab.topk_union", TopKUnion<double>) { Single = TopKUnion<float> },
        new("vocab.mined", Mined<double>) { Single = Mined<float> },
        new("bytes.marginal", Bytes),
    ];

    private static string[][] Vocabularies(JsonObject input) => [.. input["vocabs"]!.AsArray().Select(tokens => tokens.Texts())];

    private static ReadOnlyMemory<T> Project<T>(ReadOnlyMemory<T> row, int[] sources)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var projected = new T[sources.Length];
        RowProjection.Project(row.Span, sources, projected);
        return projected;
    }

    private static object Intersection<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (shared, rows) = (SharedVocabulary.Intersection(Vocabularies(input)), Rows<T>(input["rows"]));
        ReadOnlyMemory<T>[] projected = [.. rows.Zip(shared.Sources, Project)];
        var weights = (input["weights"] ?? input["lambdas"]).Numbers();
        ICombiner combiner = (string?)input["combine"] == "loglinear" ? new LogLinearCombiner(weights) : new LinearCombiner(weights);
        return new
        {
            tokens = shared.Tokens,
            kept_mass = rows.Zip(projected, (row, kept) => RowProjection.KeptMass(row.Span, kept.Span)),
            logprobs = Numbers<T>(Combine(combiner, projected)),
        };
    }

    private static object Union<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shared = SharedVocabulary.Union(Vocabularies(input));
        var law = Combine(new LinearCombiner(input["weights"].Numbers()), [.. Rows<T>(input["rows"]).Zip(shared.Sources, Project)]);
        return new { tokens = shared.Tokens, logprobs = Numbers<T>(law), argmax_token = shared.Tokens[RowMath.ArgMax<T>(law)] };
    }

    private static object TopKUnion<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var vocabularies = Vocabularies(input);
        var (shared, rows) = (SharedVocabulary.Union(vocabularies), Rows<T>(input["rows"]));
        var own = vocabularies.Select(tokens => tokens.Select(token => shared.Tokens.ToList().IndexOf(token)).ToArray()).ToList();
        var combiner = new TopKUnionCombiner(input["weights"].Numbers(), (int)input["k"]!, own);
        var sources = shared.Sources.Select((ids, k) => shared.Tokens.Select((token, i) => ids[i] >= 0 ? ids[i]
            : input["first_piece"]![k]![token] is { } piece ? Array.IndexOf(vocabularies[k], (string)piece!) : -1).ToArray()).ToList();
        ReadOnlyMemory<T>[] filled = [.. rows.Zip(sources, Project)];
        var (candidates, law) = (combiner.Candidates<T>(filled), Combine(combiner, filled));
        return new
        {
            tokens = candidates.Select(place => shared.Tokens[place]),
            logprobs = candidates.Select(place => double.CreateChecked(law[place])),
            argmax_token = shared.Tokens[RowMath.ArgMax<T>(law)],
        };
    }

    private static object Mined<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var mined = MinedVocabulary.Find(input["pivot"].Texts(), input["member"].Texts());
        var law = Combine(new LinearCombiner([1]), Project(Row<T>(input["row"]), mined.Sources));
        return new { map = mined.Sources, distance = mined.Distances, logprobs = Numbers<T>(law) };
    }

    private static object Bytes(JsonObject input)
    {
        var tokens = input["tokens"].Texts();
        var index = new TokenBytesIndex([.. tokens.Select(Encoding.UTF8.GetBytes)]);
        var covers = new ByteCovers<double>(index, Next, 64);
        var first = Law(covers);
        covers.Append((byte)((string)input["first"]!)[0]);
        return new { first, second = Law(covers) };

        ReadOnlyMemory<double> Next(IReadOnlyList<int> ids) =>
            Row<double>(ids.Count == 0 ? input["row"] : input["rows_after"]![string.Concat(ids.Select(id => tokens[id]))]);
    }

    private static Dictionary<string, double> Law(ByteCovers<double> covers)
    {
        var law = new double[256];
        covers.NextLogProbs(law);
        return Enumerable.Range(0, law.Length).Where(value => !double.IsNegativeInfinity(law[value])).ToDictionary(value => ((char)value).ToString(), value => law[value]);
    }
}
