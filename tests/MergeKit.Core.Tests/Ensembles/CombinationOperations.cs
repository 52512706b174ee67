using System.Numerics;
using System.Text.Json.Nodes;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Tests.Evaluation;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>Rules that make one law of several, each in double and in single precision.</summary>
internal sealed class CombinationOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("combine.linear", Linear<double>) { Single = Linear<float> },
        new("combine.loglinear", LogLinear<double>) { Single = LogLinear<float> },
        new("combine.dexperts", DExperts<double>) { Single = DExperts<float> },
        new("combine.contrastive", Contrastive<double>) { Single = Contrastive<float> },
        new("combine.context_aware", ContextAware<double>) { Single = ContextAware<float> },
        new("combine.domain_differential", DomainDifferential<double>) { Single = DomainDifferential<float> },
    ];

    /// <summary>A row of the suite.</summary>
    public static ReadOnlyMemory<T> Row<T>(JsonNode? node)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => Array.ConvertAll(node.Numbers(), T.CreateSaturating);

    /// <summary>Several rows.</summary>
    public static ReadOnlyMemory<T>[] Rows<T>(JsonNode? node)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => [.. node!.AsArray().Select(Row<T>)];

    /// <summary>The combined law.</summary>
    public static T[] Combine<T>(ICombiner combiner, params ReadOnlyMemory<T>[] rows)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var result = new T[rows[0].Length];
        var state = new double[combiner.StateSize];
        combiner.Begin(state);
        combiner.Combine(new StepContext { State = state }, rows, result);
        return result;
    }

    /// <summary>Numbers as the comparer takes them.</summary>
    public static double[] Numbers<T>(ReadOnlySpan<T> values)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => Array.ConvertAll(values.ToArray(), double.CreateChecked);

    private static object Law<T>(ICombiner combiner, params ReadOnlyMemory<T>[] rows)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var law = Combine(combiner, rows);
        return new { logprobs = Numbers<T>(law), argmax = RowMath.ArgMax<T>(law) };
    }

    private static object Linear<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> => Law(new LinearCombiner(input["weights"].Numbers()), Rows<T>(input["rows"]));

    private static object LogLinear<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Law(new LogLinearCombiner(input["lambdas"].Numbers(), Optional(input, "negative_floor")), Rows<T>(input["rows"]));

    private static object DExperts<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (basis, topP) = (Row<T>(input["base"]), Optional(input, "base_top_p"));
        var law = Combine(
            new DExpertsCombiner(input["alpha"].Number(), topP), basis, Row<T>(input["expert"]),
            input["antiexpert"] is { } anti ? Row<T>(anti) : basis);
        return new
        {
            logprobs = Numbers<T>(law),
            argmax = RowMath.ArgMax<T>(law),
            kept = topP is { } mass ? Nucleus<T>.Of(basis.Span, mass).Count : law.Length,
        };
    }

    private static object Contrastive<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var combiner = new ContrastiveCombiner(new ContrastiveOptions
        {
            Variant = (string)input["variant"]! == "weighted" ? ContrastiveVariant.Weighted : ContrastiveVariant.Difference,
            Alpha = input["alpha"].Number(),
            Beta = Optional(input, "beta") ?? 0.5,
            AmateurTemperature = Optional(input, "amateur_temperature") ?? 1,
            NegativeFloor = Optional(input, "negative_floor"),
        });
        ReadOnlyMemory<T>[] rows = [Row<T>(input["expert"]), Row<T>(input["amateur"])];
        var scores = new T[rows[0].Length];
        combiner.Scores(rows, scores);
        var law = Combine(combiner, rows);
        return new
        {
            scores = Numbers<T>(scores),
            mask = scores.Select(score => !T.IsNegativeInfinity(score)),
            argmax = RowMath.ArgMax<T>(law),
            logprobs = Numbers<T>(law),
        };
    }

    private static object ContextAware<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Law(new ContextAwareCombiner(input["alpha"].Number()), Row<T>(input["with_context"]), Row<T>(input["without_context"]));

    private static object DomainDifferential<T>(JsonObject input)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Law(new DomainDifferentialCombiner(input["beta"].Number()), Row<T>(input["task"]), Row<T>(input["in_domain"]), Row<T>(input["out_domain"]));

    private static double? Optional(JsonObject input, string key) => input[key] is { } node ? node.Number() : null;
}
