using System.Numerics;
using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Routing, router statistics, gates and their calibration.</summary>
internal sealed class MoeOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("moe.route", Route<double>),
        new("moe.balance", Balance),
        new("moe.gate_init", input => new { mean = Gates(input, last: false), last = Gates(input, last: true) }),
        new("moe.gate_init_embed", input =>
        {
            var table = Rows(input["embedding"]);
            IReadOnlyList<double[]> Tokens(JsonNode? prompts) => [.. (prompts?.AsArray() ?? []).SelectMany(ids => ids.Numbers()).Select(id => table[(int)id])];
            return new { gates = input["experts"]!.AsArray().Select(expert => GateVectors.EmbeddingRow(Tokens(expert!["positive"]), Tokens(expert["negative"]))) };
        }),
        new("moe.calibrate", Calibrate),
        new("moe.ridge", Ridge),
        new("moe.balance_bias", input =>
        {
            var (bias, first, last) = BiasBalancing.Fit(Rows(input["logits"]), (int)input["k"]!, input["step"].Number(), (int)input["iterations"]!);
            return new { bias, first_load = first, last_load = last };
        }),
        new("moe.forward", Forward<double>),
    ];

    /// <summary>The operations that the suite also wants in single precision.</summary>
    public static IReadOnlyDictionary<string, Func<JsonObject, object>> Single { get; } = new Dictionary<string, Func<JsonObject, object>>(StringComparer.Ordinal)
    {
        ["moe.route"] = Route<float>,
        ["moe.forward"] = Forward<float>,
    };

    private static RoutingSpec Routing(JsonObject input, int experts)
    {
        var mode = (string?)input["mode"] ?? "topk_softmax";
        return new RoutingSpec
        {
            Experts = experts,
            TopK = (int)input["k"]!,
            Scoring = mode switch
            {
                "topk_softmax" => RouterScoring.SoftmaxOfChosen,
                "softmax_topk" => RouterScoring.Softmax,
                "sigmoid_topk" => RouterScoring.Sigmoid,
                _ => throw new NotSupportedException(mode),
            },
            Normalise = (bool?)input["renorm"] ?? false,
            Scale = (float)((double?)input["scale"] ?? 1),
            Groups = (int?)input["n_group"] ?? 1,
            TopGroups = (int?)input["topk_group"] ?? 1,
            Ranking = GroupRanking.SumOfBestTwo,
        };
    }

    private static object Route<T>(JsonObject input) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var logits = Rows(input["logits"]);
        var bias = input["bias"] is { } node ? Of<T>(node.Numbers()) : [];
        var routing = Routing(input, logits[0].Length);
        var chosen = logits.Select(row =>
        {
            var (experts, weights) = (new int[routing.TopK], new T[routing.TopK]);
            ExpertRouting.Choose(routing, bias, Of<T>(row), experts, weights);
            return (experts, weights);
        }).ToList();
        return new { experts = chosen.Select(one => one.experts), weights = chosen.Select(one => Array.ConvertAll(one.weights, double.CreateChecked)) };
    }

    private static object Balance(JsonObject input)
    {
        var logits = Rows(input["logits"]);
        var routing = Routing(input, logits[0].Length) with { Scoring = RouterScoring.Softmax, Normalise = true };
        var statistics = new RouterStatistics(routing, [], 1);
        foreach (var row in logits)
            statistics.Add(row, 0, -1);
        var result = statistics.Result(0, 1, labelled: false);
        return new
        {
            load = result.Load,
            mean_probability = result.MeanProbability,
            switch_loss = result.SwitchLoss,
            topk_loss = result.TopKLoss,
            topk_loss_normalised = result.TopKLossNormalised,
            importance = result.Importance,
            importance_cv2 = result.ImportanceCv2,
            load_cv2 = result.LoadCv2,
            max_violation = result.MaxViolation,
            mean_router_entropy = result.MeanEntropy,
            entropy_of_mean = result.EntropyOfMean,
            z_loss = result.ZLoss,
        };
    }

    private static object Gates(JsonObject input, bool last)
    {
        IReadOnlyList<double[]> Pooled(JsonNode? prompts) => [.. (prompts?.AsArray() ?? []).Select(prompt => GateVectors.Pool(Rows(prompt), last))];
        var gates = input["experts"]!.AsArray().Select(expert => GateVectors.Row(Pooled(expert!["positive"]), Pooled(expert["negative"]))).ToArray();
        var condition = GateVectors.Condition(gates);
        return new { gates, condition, degenerate = condition > RouterReport.WorstCondition };
    }

    private static object Calibrate(JsonObject input)
    {
        var gates = Rows(input["gates"]);
        GateCalibration.RemoveMean(gates, input["mean_hidden"].Numbers());
        var logits = Rows(input["hidden"]).Select(state => gates.Select(row => row.Zip(state, (g, h) => g * h).Sum()).ToArray()).ToArray();
        return new { gates, scale = GateCalibration.ScaleForEntropy(logits, input["target_entropy"].Number()), entropy_at_1 = GateCalibration.MeanEntropy(logits, 1) };
    }

    private static object Ridge(JsonObject input)
    {
        var (states, labels) = (Rows(input["hidden"]), input["labels"].Numbers().Select(label => (int)label).ToArray());
        var gates = RidgeRouter.Solve<double>(
            states.SelectMany(row => row).ToArray(), states[0].Length, RidgeRouter.Targets(labels, (int)input["experts"]!), input["alpha"].Number());
        var right = states.Zip(labels).Count(pair => gates.Index().MaxBy(row => row.Item.Zip(pair.First, (g, h) => g * h).Sum()).Index == pair.Second);
        return new { gates, agreement = (double)right / labels.Length };
    }

    private static object Forward<T>(JsonObject input) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var (x, logits) = (Of<T>(input["x"].Numbers()), Of<T>(input["router_logits"].Numbers()));
        var experts = input["experts"]!.AsArray().Select(Rows).ToArray();
        var routing = Routing(input, experts.Length);
        var (routed, identical, shared) = (new T[experts[0].Length], new T[experts[0].Length], new T[experts[0].Length]);
        var (chosen, weights) = ExpertMixture.Forward<T>(routing, [], logits, expert => Times(experts[expert], x), routed);
        ExpertMixture.Forward<T>(routing, [], logits, _ => Times(experts[0], x), identical);
        routed.CopyTo(shared, 0);
        if (input["shared_expert"] is { } matrix)
            ExpertMixture.AddShared<T>(x, Of<T>(input["shared_gate"].Numbers()), Times(Rows(matrix), x), shared);
        return new
        {
            experts = chosen,
            weights = Array.ConvertAll(weights, double.CreateChecked),
            routed = Array.ConvertAll(routed, double.CreateChecked),
            with_shared = Array.ConvertAll(shared, double.CreateChecked),
            identical_experts = Array.ConvertAll(identical, double.CreateChecked),
        };
    }

    private static T[] Times<T>(double[][] matrix, T[] x) where T : unmanaged, IFloatingPointIeee754<T> =>
        Array.ConvertAll(matrix, row => System.Numerics.Tensors.TensorPrimitives.Dot<T>(Of<T>(row), x));

    private static T[] Of<T>(double[] values) where T : unmanaged, IFloatingPointIeee754<T> => Array.ConvertAll(values, T.CreateChecked);

    private static double[][] Rows(JsonNode? node) => [.. node!.AsArray().Select(row => row.Numbers())];
}

/// <summary>The cases that the suite wants run again in single precision.</summary>
[Trait("Suite", "ensembles")]
public sealed class SinglePrecisionRoutingTests
{
    private static readonly JsonArray AllCases =
        JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Fixtures, "conformance", "ensembles", "cases.json")))!["cases"]!.AsArray();

    public static TheoryData<string> Cases() => [.. AllCases.Where(test => MoeOperations.Single.ContainsKey((string)test!["op"]!)).Select(test => (string)test!["id"]!)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Agrees(string id)
    {
        var test = AllCases.Single(candidate => (string)candidate!["id"]! == id)!;
        var operation = new GoldenOperation((string)test["op"]!, MoeOperations.Single[(string)test["op"]!]);
        var tolerance = new JsonObject { ["abs"] = 2e-5, ["rel"] = 2e-5 };
        var differences = new GoldenComparer(tolerance).Differences(test["expect"]!, operation.Run(test["input"]!.AsObject()));
        Assert.True(differences.Count == 0, string.Join("\n", differences));
    }
}
