using System.Globalization;
using System.Text;
using System.Text.Json;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Core.Reports;

/// <summary>What routers do: figures by layer, where the tokens of each domain go, and which experts are chosen together.</summary>
internal static class RouterSection
{
    private const int MostLoads = 16, MostColumns = 32, MostInJson = 64, Pairs = 20;

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
        if (report.Experts.Count > MostColumns)
            WritePairs(html, report);
        else
            foreach (var layer in report.Layers)
                html.Append(CultureInfo.InvariantCulture, $"<figure><figcaption>Layer {layer.Layer}: of the tokens that chose the row's expert, the share that chose the column's</figcaption>\n")
                    .Append(HeatMap.Svg($"layer {layer.Layer}, experts chosen together", Cells(report.Experts, report.Experts, layer.Together), top: 1)).Append("</figure>\n");
        html.Append("</details>\n");
    }

    /// <summary>Where a matrix of all experts would be too large, the pairs that are chosen together most.</summary>
    private static void WritePairs(StringBuilder html, RouterReport report)
    {
        html.Append(CultureInfo.InvariantCulture, $"<p class=\"soft\">The {Pairs} pairs of each layer where most of the tokens that chose one expert chose the other as well.</p>\n");
        Html.Table(
            html, $"together-{report.Title.Replace(' ', '-')}", ["layer", "expert", "chosen as well", "share"],
            report.Layers.SelectMany(layer => MostTogether(layer).Select(pair => (IEnumerable<string>)
                [layer.Layer.ToString(CultureInfo.InvariantCulture), Html.Escape(report.Experts[pair.Of]), Html.Escape(report.Experts[pair.With]), Numbers.Text(pair.Share)])));
    }

    private static IEnumerable<(int Of, int With, double Share)> MostTogether(LayerRouting layer) =>
        layer.Together.SelectMany((row, i) => row.Select((share, j) => (Of: i, With: j, Share: share))).Where(pair => pair.Of != pair.With && pair.Share > 0)
            .OrderByDescending(pair => pair.Share).Take(Pairs);

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
                co_activation = report.Experts.Count > MostInJson ? null : layer.Together.Select(Finite),
                co_activation_most = MostTogether(layer).Select(pair => new { expert = pair.Of, with = pair.With, share = pair.Share }),
                accuracy = layer.Accuracy is null ? null : Finite(layer.Accuracy),
                inclusion = layer.Inclusion is null ? null : Finite(layer.Inclusion),
            }),
        }));
    }

    private static IEnumerable<string> Row(LayerRouting layer) =>
    [
        layer.Layer.ToString(CultureInfo.InvariantCulture), Loads(layer),
        Numbers.Text(layer.LoadCv2), Numbers.Text(layer.ImportanceCv2), Numbers.Text(layer.MaxViolation), Numbers.Text(layer.MeanEntropy), Numbers.Text(layer.EntropyOfMean),
        Numbers.Text(layer.SwitchLoss), Numbers.Text(layer.TopKLossNormalised), Numbers.Text(layer.ZLoss), Numbers.Text(layer.Condition), Mean(layer.Accuracy), Mean(layer.Inclusion),
    ];

    /// <summary>Every expert's share of the choices; of many experts the least and the largest.</summary>
    private static string Loads(LayerRouting layer)
    {
        var sum = layer.Load.Sum();
        return layer.Load.Length > MostLoads
            ? string.Create(CultureInfo.InvariantCulture, $"{layer.Load.Min() / sum:P1} to {layer.Load.Max() / sum:P1}, {layer.Dead.Count()} unused")
            : string.Join(" / ", layer.Load.Select(load => (load / sum).ToString("P0", CultureInfo.InvariantCulture)));
    }

    private static string Mean(double[]? shares) => shares is null ? "-" : Numbers.Text(shares.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average());

    private static IReadOnlyList<(string, string, double)> Cells(IReadOnlyList<string> rows, IReadOnlyList<string> columns, double[][] values) =>
        [.. rows.SelectMany((row, i) => columns.Select((column, j) => (row, column, values[i][j])))];

    private static double? Finite(double value) => double.IsFinite(value) ? value : null;

    private static IEnumerable<double?> Finite(double[] values) => values.Select(value => Finite(value));
}
