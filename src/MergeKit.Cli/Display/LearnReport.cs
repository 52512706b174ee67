using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Recipes;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Cli.Display;

/// <summary>What was learned, for people, programs and the recipe itself.</summary>
internal static class LearnReport
{
    public static void Print(LearnedWeights learned, TextWriter output)
    {
        output.WriteLine(Headline(learned));
        var table = new TextTable("model", "#weight", "#std. error", "over the folds", "#NLL alone", "#NLL of the others");
        foreach (var member in learned.Members)
            table.Add(
                member.Name, Figure.Text(member.Weight), member.StandardError is { } error ? Figure.Text(error) : "at its bound", Figure.Range(member.FoldLow, member.FoldHigh),
                Figure.Text(member.Alone), member.Without is { } without ? $"{Figure.Text(without)} ({Signed(without - learned.CrossValidatedNll)})" : "-");
        table.Write(output);
        output.WriteLine(FormattableString.Invariant($"NLL per token: {learned.Nll:0.#####} on the examples, {learned.CrossValidatedNll:0.#####} cross-validated"));
        foreach (var comparison in learned.Comparisons.Take(2))
            output.WriteLine($"against {comparison.Other} ({Figure.Text(comparison.Nll)}): {Line(comparison)}");
        if (learned.Gate is { } gate)
            output.WriteLine(FormattableString.Invariant(
                $"gate: {gate.CrossValidatedNll:0.#####} cross-validated; {(gate.Kept ? "better than constant weights: kept" : "no better than constant weights: not kept")}; constant weights minus gate: {Line(learned.Comparisons[^1])}"));
        output.WriteLine(learned.Certificate);
    }

    /// <summary>Lines of comment for the recipe.</summary>
    public static IEnumerable<string> Remarks(LearnedWeights learned, LearnSettings settings)
    {
        yield return $"{Headline(learned)} Data: {settings.Data}.";
        foreach (var member in learned.Members)
            yield return $"{member.Name}: {Figure.Text(member.Weight)}{(member.StandardError is { } error ? $" +- {Figure.Text(error)}" : "")}; NLL alone {Figure.Text(member.Alone)}"
                + (member.Without is { } without ? $", of the others without it {Figure.Text(without)}" : "");
        yield return FormattableString.Invariant($"NLL per token, cross-validated: {learned.CrossValidatedNll:0.#####}; {string.Join("; ", learned.Comparisons.Take(2).Select(one => $"against {one.Other} {Line(one)}"))}");
    }

    public static string Json(LearnedWeights learned) => new JsonObject
    {
        ["ensemble"] = learned.Rule,
        ["method"] = learned.Method,
        ["examples"] = learned.Examples,
        ["tokens"] = learned.Tokens,
        ["seconds"] = learned.Seconds,
        ["nll"] = learned.Nll,
        ["nll_cross_validated"] = learned.CrossValidatedNll,
        ["certificate"] = learned.Certificate,
        ["members"] = new JsonArray([.. learned.Members.Select(member => new JsonObject
        {
            ["model"] = member.Name,
            ["weight"] = member.Weight,
            ["standard_error"] = member.StandardError,
            ["folds"] = new JsonArray(member.FoldLow, member.FoldHigh),
            ["nll_alone"] = member.Alone,
            ["nll_without"] = member.Without,
        })]),
        ["comparisons"] = new JsonArray([.. learned.Comparisons.Select(one => new JsonObject
        {
            ["against"] = one.Other,
            ["nll"] = one.Nll,
            ["difference"] = one.Difference,
            ["interval"] = one.Interval is { } range ? new JsonArray(range.Low, range.High) : null,
            ["p"] = double.IsNaN(one.PValue) ? null : one.PValue,
        })]),
        ["gate"] = learned.Gate is null ? null : new JsonObject { ["nll_cross_validated"] = learned.Gate.CrossValidatedNll, ["kept"] = learned.Gate.Kept },
    }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });

    private static string Headline(LearnedWeights learned) => FormattableString.Invariant(
        $"{learned.Rule}, learned by {learned.Method} from {learned.Examples} answers ({learned.Tokens} tokens) in {learned.Seconds:0.000} s.");

    private static string Line(LearnComparison comparison) =>
        Signed(comparison.Difference) + (comparison.Interval is { } range ? $" {Figure.Range(range.Low, range.High)}, p {comparison.PValue.ToString("0.####", CultureInfo.InvariantCulture)}" : "");

    private static string Signed(double value) => value > 0 ? "+" + Figure.Text(value) : Figure.Text(value);
}
