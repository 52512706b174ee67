using System.Text.Json;
using System.Xml.Linq;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Reports;

namespace MergeKit.Core.Tests.Reports;

/// <summary>The three forms of a report: complete, escaped, self-contained.</summary>
public sealed class ReportTests
{
    private const string Nasty = "<script>alert(\"x\")</script>|'&*";

    private static EvaluationReport Report(string tokenizer = "t")
    {
        Measurement[] text = [new("bits_per_byte", 1.5, new Interval(1.4, 1.6), "bootstrap over documents", false, 9), new("nll_per_token", 3.25, new Interval(3, 3.5), "bootstrap over documents", false, 9)];
        Measurement[] choice = [new("acc", 0.5, new Interval(0.2, 0.8), "Wilson", true, 8), new("prob", double.NaN, null, "normal", true, 8)];
        DataSetResult[] results =
        [
            new(Nasty, "prose", "t", text, [new TextItem(0, -13.5, 4, 9, 2)]), new(Nasty, "quiz", "t", choice, [new ChoiceItem(0, [-1, double.NegativeInfinity], 0, 0, 0, 1, 1, 1, null, 1, 0)]),
            new("b", "prose", tokenizer, text, [new TextItem(0, -13.5, 4, 9, 2)]), new("b", "quiz", tokenizer, choice, []),
        ];
        var comparison = new ModelComparison("b", Nasty, "quiz", "acc", 0.125, new Interval(-0.1, 0.3), 0.0004, 0.0008, "exact McNemar", 0.3);
        LayerDelta[] layers = [new("0", "q_proj", 0.01, 0.2), new("0", "up_proj", 0.05, 0.4), new("1", "q_proj", 0.5, 1), new(Nasty, "up_proj", double.NaN, 0)];
        return new EvaluationReport("Run " + Nasty, new EvaluationResult([Nasty, "b"], ["prose", "quiz"], results, [comparison]), layers, ["note " + Nasty]);
    }

    [Fact]
    public void Json_has_every_number_with_its_interval()
    {
        var json = JsonDocument.Parse(JsonReport.Write(Report(), items: true)).RootElement;
        Assert.Equal(JsonReport.Format, json.GetProperty("format").GetString());
        Assert.Equal(Nasty, json.GetProperty("models")[0].GetString());
        var metrics = json.GetProperty("results")[0].GetProperty("metrics");
        Assert.Equal(1.5, metrics.GetProperty("bits_per_byte").GetProperty("value").GetDouble());
        Assert.Equal(1.6, metrics.GetProperty("bits_per_byte").GetProperty("interval")[1].GetDouble());
        var prob = json.GetProperty("results")[1].GetProperty("metrics").GetProperty("prob");
        Assert.Equal((JsonValueKind.Null, JsonValueKind.Null), (prob.GetProperty("value").ValueKind, prob.GetProperty("interval").ValueKind));
        Assert.Equal(-13.5, json.GetProperty("results")[0].GetProperty("items")[0].GetProperty("loglikelihood").GetDouble());
        Assert.Equal(0.0004, json.GetProperty("comparisons")[0].GetProperty("p").GetDouble());
        Assert.Equal(4, json.GetProperty("layers").GetArrayLength());
    }

    [Fact]
    public void Markdown_has_one_row_a_model_and_escapes_names()
    {
        var text = MarkdownReport.Write(Report());
        Assert.DoesNotContain("<script", text, StringComparison.Ordinal);
        var rows = text.Split('\n').Where(line => line.StartsWith('|')).ToArray();
        Assert.Equal(4 + 3, rows.Length);
        Assert.Contains("| b | 1.500 [1.400, 1.600] | 0.5000 [0.2000, 0.8000] |", rows);
        Assert.Contains(rows, row => row.Contains("<0.001", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("t", "nats per token")]
    [InlineData("other", "bits per byte")]
    public void Html_is_one_well_formed_file_without_scripts_or_links(string tokenizer, string unit)
    {
        var html = HtmlReport.Write(Report(tokenizer));
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.DoesNotContain("http:", html, StringComparison.Ordinal);
        Assert.DoesNotContain("https:", html, StringComparison.Ordinal);
        Assert.Contains(unit + ", lower is better", html, StringComparison.Ordinal);
        var body = html[html.IndexOf("<body>", StringComparison.Ordinal)..(html.IndexOf("</body>", StringComparison.Ordinal) + 7)];
        var page = XElement.Parse(body.Replace("<br>", "<br/>", StringComparison.Ordinal));
        var tables = page.Descendants("table").ToDictionary(table => (string)table.Attribute("id")!);
        Assert.Equal(["results", "comparisons", "metrics"], tables.Keys);
        Assert.Equal(Nasty, tables["results"].Descendants("tbody").Single().Descendants("th").First().Value);
        Assert.Equal(3, page.Descendants("svg").Count());
        Assert.Equal(2, page.Descendants("svg").First().Descendants("circle").Count());
        Assert.Equal(8, page.Descendants("svg").Sum(svg => svg.Elements("rect").Count(rect => rect.Element("title") is not null)));
    }

    [Fact]
    public void A_report_without_results_or_layers_is_still_a_page()
    {
        var report = new EvaluationReport("empty", null, [], []);
        Assert.Contains("<h1>empty</h1>", HtmlReport.Write(report), StringComparison.Ordinal);
        Assert.Equal("# empty\n\n", MarkdownReport.Write(report));
        Assert.Equal(0, JsonDocument.Parse(JsonReport.Write(report)).RootElement.GetProperty("results").GetArrayLength());
    }
}
