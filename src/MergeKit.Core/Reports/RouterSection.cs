using System.Globalization;
using System.Text;
using System.Text.Json;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Core.Reports;

/// <summary>What routers do: figures by layer, where the tokens of each domain go, and which experts are chosen together.</summary>
internal static class RouterSection
{
    /// <summary>As a section of the page.</summary>
    public static void Write(StringBuilder html, RouterReport report)
    {
        html.Append("<h2>").Append(Html.Escape(char.ToUpperInvariant(report.Title[0]) + report.Title[1..])).Append("</h2>\n<p class=\"soft\">")
            .Append(CultureInfo.InvariantCulture, $"{report.Layers[0].Tokens} tokens of {report.Domains.Count} domains; entropies in nats (ln {report.Experts.Count} = {Numbers.Text(Math.Log(report.Experts.Count))}); Switch loss and top-k loss are 1 at balance.</p>\n");
        Html.Table(
            html, "routers-" + report.Title.Replace(' ', '-'),
            ["layer", "load by expert", "CV² of load", "CV² of importance", "max violation", "entropy", "entropy of mean", "Switch loss", "top-k loss", "z-loss", "condition", "right first choice", "right among chosen"],
            report.Layers.Select(Row));
        foreach (var layer in report.Layers)
        {
            html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>Layer {layer.Layer}: share of each domain's choices by expert</figcaption>\n")
                .Append(HeatMap.Svg($"layer {layer.Layer}, domains by experts", Cells(report.Domains, report.Experts, layer.DomainShares), top: 1)).Append("</figure>\n");
        }

        html.Append("<details><summary>Experts chosen together</summary>\n");
        foreach (var layer in report.Layers)
            html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>Layer {layer.Layer}: of the tokens that chose the row's expert, the share that chose the column's</figcaption>\n")
                .Append(HeatMap.Svg($"layer {layer.Layer}, experts chosen together", Cells(report.Experts, report.Experts, layer.Together), top: 1)).Append("</figure>\n");
        html.Append("</details>\n");
    }

    /// <summary>As the key <c>routers</c> of the report's JSON.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<RouterReport> reports)
    {
        json.WritePropertyName("routers");
        JsonSerializer.Serialize(json, reports.Select(report => new
        {
            title = report.Title,
            experts = report.Experts,
            domains = report.Domains,
            layers = report.Layers.Select(layer => new
            {
                layer = layer.Layer,
                tokens = layer.Tokens,
                load = layer.Load,
                importance = Finite(layer.Importance),
                mean_probability = Finite(layer.MeanProbability),
                load_cv2 = Finite(layer.LoadCv2),
                importance_cv2 = Finite(layer.ImportanceCv2),
                max_violation = Finite(layer.MaxViolation),
                mean_router_entropy = Finite(layer.MeanEntropy),
                entropy_of_mean = Finite(layer.EntropyOfMean),
                switch_loss = Finite(layer.SwitchLoss),
                topk_loss = Finite(layer.TopKLoss),
                topk_loss_normalised = Finite(layer.TopKLossNormalised),
                z_loss = Finite(layer.ZLoss),
                condition = Finite(layer.Condition),
                domain_shares = layer.DomainShares.Select(Finite),
                co_activation = layer.Together.Select(Finite),
                accuracy = layer.Accuracy is null ? null : Finite(layer.Accuracy),
                inclusion = layer.Inclusion is null ? null : Finite(layer.Inclusion),
            }),
        }));
    }

    private static IEnumerable<string> Row(LayerRouting layer) =>
    [
        layer.Layer.ToString(CultureInfo.InvariantCulture), string.Join(" / ", layer.Load.Select(load => (load / layer.Load.Sum()).ToString("P0", CultureInfo.InvariantCulture))),
        Numbers.Text(layer.LoadCv2), Numbers.Text(layer.ImportanceCv2), Numbers.Text(layer.MaxViolation), Numbers.Text(layer.MeanEntropy), Numbers.Text(layer.EntropyOfMean),
        Numbers.Text(layer.SwitchLoss), Numbers.Text(layer.TopKLossNormalised), Numbers.Text(layer.ZLoss), Numbers.Text(layer.Condition), Mean(layer.Accuracy), Mean(layer.Inclusion),
    ];

    private static string Mean(double[]? shares) => shares is null ? "-" : Numbers.Text(shares.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average());

    private static IReadOnlyList<(string, string, double)> Cells(IReadOnlyList<string> rows, IReadOnlyList<string> columns, double[][] values) =>
        [.. rows.SelectMany((row, i) => columns.Select((column, j) => (row, column, values[i][j])))];

    private static double? Finite(double value) => double.IsFinite(value) ? value : null;

    private static IEnumerable<double?> Finite(double[] values) => values.Select(value => Finite(value));
}
