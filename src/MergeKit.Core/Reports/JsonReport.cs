using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Reports;

/// <summary>The report as JSON (<c>report.json</c>):
/// <c>{format, title, notes: [text], one_tokenizer, models: [name], data_sets: [name],
/// results: [{model, data_set, tokenizer, metrics: {name: {value, interval: [low, high] | null, method, higher_is_better, n}}, items?: [...]}],
/// comparisons: [{model, baseline, data_set, metric, higher_is_better, difference, interval, p, p_holm, test, detectable}], mean_comparisons: the same over several data sets,
/// layers: [{layer, component, relative_norm, sign_conflict}], routers?: [{title, experts, domains, layers: [{layer, ...}]}], vocabulary?: {...}}</c>, the last as in
/// <see cref="VocabularyJson"/>. Numbers that JSON cannot hold (NaN, infinite) are null. Intervals are of 95 %.</summary>
public static class JsonReport
{
    /// <summary>The value of <c>format</c>.</summary>
    public const string Format = "mergekit-net-report/1";

    /// <summary>Writes the report; with <paramref name="items"/> also the result of every item, so that others can pair them.</summary>
    public static string Write(EvaluationReport report, bool items = false)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("format", Format);
            json.WriteString("title", report.Title);
            Texts(json, "notes", report.Notes);
            json.WriteBoolean("one_tokenizer", report.OneTokenizer);
            Texts(json, "models", report.Result?.Models ?? []);
            Texts(json, "data_sets", report.Result?.DataSets ?? []);
            List(json, "results", report.Result?.Results ?? [], result => Result(json, result, items));
            List(json, "comparisons", report.Result?.Comparisons ?? [], comparison => Comparison(json, comparison));
            List(json, "mean_comparisons", report.Result?.Means ?? [], comparison => Comparison(json, comparison));
            List(json, "layers", report.Layers, layer =>
            {
                json.WriteString("layer", layer.Layer);
                json.WriteString("component", layer.Component);
                Number(json, "relative_norm", layer.RelativeNorm);
                Number(json, "sign_conflict", layer.SignConflict);
            });
            if (report.Routers.Count > 0)
                RouterSection.Write(json, report.Routers);
            if (report.Vocabulary is { } vocabulary)
            {
                json.WritePropertyName("vocabulary");
                VocabularyJson.Of(vocabulary).WriteTo(json);
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static void Result(Utf8JsonWriter json, DataSetResult result, bool items)
    {
        json.WriteString("model", result.Model);
        json.WriteString("data_set", result.DataSet);
        json.WriteString("tokenizer", result.TokenizerId);
        json.WriteStartObject("metrics");
        foreach (var measurement in result.Measurements)
        {
            json.WriteStartObject(measurement.Metric);
            Number(json, "value", measurement.Value);
            Range(json, measurement.Interval);
            json.WriteString("method", measurement.Method);
            json.WriteBoolean("higher_is_better", measurement.HigherIsBetter);
            json.WriteNumber("n", measurement.Count);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        if (items)
            List(json, "items", result.Items, item => Item(json, item));
    }

    private static void Item(Utf8JsonWriter json, ItemResult item)
    {
        json.WriteNumber("index", item.Index);
        switch (item)
        {
            case TextItem text:
                Number(json, "loglikelihood", text.LogLikelihood);
                json.WriteNumber("tokens", text.Tokens);
                Number(json, "bytes", text.Bytes);
                Number(json, "words", text.Words);
                break;
            case ChoiceItem choice:
                json.WriteStartArray("loglikelihoods");
                foreach (var value in choice.LogLikelihoods)
                    Number(json, null, value);
                json.WriteEndArray();
                json.WriteNumber("pred", choice.Prediction);
                json.WriteNumber("pred_norm", choice.PredictionNorm);
                json.WriteNumber("pred_bytes", choice.PredictionBytes);
                json.WriteNumber("acc", choice.Accuracy);
                json.WriteNumber("acc_norm", choice.AccuracyNorm);
                json.WriteNumber("acc_bytes", choice.AccuracyBytes);
                break;
            case ExactItem exact:
                json.WriteString("generated", exact.Generated);
                json.WriteBoolean("correct", exact.Correct);
                break;
        }
    }

    private static void Comparison(Utf8JsonWriter json, ModelComparison comparison)
    {
        json.WriteString("model", comparison.Model);
        json.WriteString("baseline", comparison.Baseline);
        json.WriteString("data_set", comparison.DataSet);
        json.WriteString("metric", comparison.Metric);
        json.WriteBoolean("higher_is_better", comparison.HigherIsBetter);
        Number(json, "difference", comparison.Difference);
        Range(json, comparison.Interval);
        Number(json, "p", comparison.PValue);
        Number(json, "p_holm", comparison.PHolm);
        json.WriteString("test", comparison.Test);
        Number(json, "detectable", comparison.Detectable ?? double.NaN);
    }

    private static void List<T>(Utf8JsonWriter json, string name, IEnumerable<T> entries, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (var entry in entries)
        {
            json.WriteStartObject();
            write(entry);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Texts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    private static void Range(Utf8JsonWriter json, Interval? interval)
    {
        if (interval is not { } range)
        {
            json.WriteNull("interval");
            return;
        }

        json.WriteStartArray("interval");
        Number(json, null, range.Low);
        Number(json, null, range.High);
        json.WriteEndArray();
    }

    private static void Number(Utf8JsonWriter json, string? name, double value)
    {
        if (name is not null)
            json.WritePropertyName(name);
        if (double.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteNullValue();
    }
}
