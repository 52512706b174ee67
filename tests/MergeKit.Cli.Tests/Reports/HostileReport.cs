using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Reports;

namespace MergeKit.Cli.Tests.Reports;

/// <summary>A report full of numbers, under names that try to be markup, scripts and links, or are very long.</summary>
internal static class HostileReport
{
    public const int Layers = 6;

    public static readonly string[] Models =
    [
        "<script>window.hostile = 1</script>",
        "\"><img src=\"https://example.invalid/x.png\" onerror=\"window.hostile = 2\">",
        "'></title></style></svg><iframe src='https://example.invalid/'></iframe>&amp;",
        new string('m', 400),
        "models/merged of two (ties)",
    ];

    public static readonly string[] Texts = ["prose", "<svg onload=\"window.hostile = 3\">" + new string('d', 200)];
    public static readonly string[] Quizzes = ["quiz </table>"];
    public static readonly string[] Components =
        ["input_layernorm", "q_proj", "k_proj", "v_proj", "o_proj", "post_attention_layernorm", "gate_proj", "up_proj", "down_proj", "</svg><script>window.hostile = 4</script>"];

    public static EvaluationReport Create()
    {
        var results = Models.SelectMany((model, i) =>
            Texts.Select(text => new DataSetResult(model, text, "t", Text(i), []))
                .Concat(Quizzes.Select(quiz => new DataSetResult(model, quiz, "t", [new("acc", 0.4 + (0.05 * i), new Interval(0.3, 0.8), "Wilson", true, 40)], [])))).ToArray();
        var comparisons = Models.Skip(1).SelectMany(model => Quizzes.Select(quiz => new ModelComparison(
            model, Models[0], quiz, "acc", 0.05, new Interval(-0.1, 0.2), 0.2, 0.4, "none: <script>window.hostile = 5</script> " + new string('t', 120), 0.3))).ToArray();
        var layers = Enumerable.Range(0, Layers).SelectMany(layer => Components.Select((component, i) =>
            new LayerDelta($"{layer}", component, 0.01 * (1 + layer) * (1 + i), i / 10.0))).ToArray();
        return new EvaluationReport(
            "</title><script>window.hostile = 6</script>" + new string('r', 300),
            new EvaluationResult(Models, [.. Texts, .. Quizzes], results, comparisons), layers,
            ["<script src=\"https://example.invalid/x.js\"></script>", new string('n', 500)]);
    }

    private static Measurement[] Text(int model) =>
    [
        new("nll_per_token", 3 + (0.1 * model), new Interval(2.8 + (0.1 * model), 3.3 + (0.1 * model)), "bootstrap over documents", false, 9),
        new("bits_per_byte", 1.5 + (0.1 * model), new Interval(1.4, 2.1), "bootstrap over documents", false, 9),
    ];
}
