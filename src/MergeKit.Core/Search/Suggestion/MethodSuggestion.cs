using System.Globalization;
using System.Text;

namespace MergeKit.Core.Search.Suggestion;

/// <summary>A method with starting parameters, and why.</summary>
/// <param name="Method">The merge method.</param>
/// <param name="Weights">Per model the weight.</param>
/// <param name="Density">Share of each task vector to keep; null where the method has none.</param>
/// <param name="Lambda">Factor of the merged task vector, for methods that divide by the weights' sum; 1 elsewhere.</param>
/// <param name="Reasons">What in the numbers speaks for it.</param>
/// <param name="Cautions">What speaks against merging, or against trusting the suggestion.</param>
public sealed record MethodSuggestion(string Method, IReadOnlyList<double> Weights, double? Density, double Lambda, IReadOnlyList<string> Reasons, IReadOnlyList<string> Cautions)
{
    private const double Far = 0.5, SameRun = 0.5, Related = 0.15, Interfering = 0.2, Unequal = 3, Concentrated = 0.85, Identical = 1e-6;

    /// <summary>Judges the statistics. The thresholds are rules of thumb: they choose where a search begins, not where it ends.</summary>
    public static MethodSuggestion Of(DeltaStatistics statistics)
    {
        var (reasons, cautions) = (new List<string>(), new List<string>());
        var (norms, cosine, interference) = (statistics.RelativeNorms, DeltaStatistics.PairMean(statistics.Cosines), DeltaStatistics.PairMean(statistics.Interference));
        var count = norms.Count;
        Caution(statistics, cautions);
        if (count == 1)
        {
            reasons.Add($"One model: its task vector is {Percent(norms[0])} of the base's norm; a smaller weight keeps more of the base.");
            return new MethodSuggestion("task_arithmetic", [0.7], null, 1, reasons, cautions);
        }

        reasons.Add($"Mean cosine of the task vectors: {Number(cosine)}; their signs differ in {Percent(DeltaStatistics.PairMean(statistics.SignConflicts))} of the entries that both change.");
        var ratio = norms.Max() / Math.Max(1e-30, norms.Min());
        if (cosine >= SameRun)
        {
            reasons.Add("The task vectors point the same way, as runs of one recipe do: a plain average (a soup) loses nothing and averages the noise out. Try search: greedy_soup.");
            return new MethodSuggestion("linear", Even(count), null, 1, reasons, cautions);
        }

        double[] weights = [.. Enumerable.Repeat(cosine >= Related ? 1.0 / count : Math.Min(0.5, 1.0 / Math.Sqrt(count)), count)];
        if (ratio > Unequal)
        {
            var middle = Math.Exp(norms.Average(norm => Math.Log(Math.Max(norm, 1e-30))));
            weights = [.. weights.Zip(norms, (weight, norm) => Math.Round(Math.Clamp(weight * Math.Sqrt(middle / Math.Max(norm, 1e-30)), 0.05, 1), 3))];
            reasons.Add($"The task vectors' norms differ by a factor of {Number(ratio)}: the larger ones get smaller weights, so that none drowns the rest.");
        }

        if (interference >= Interfering)
        {
            var concentration = statistics.MagnitudeShares.Average();
            var density = concentration >= Concentrated ? 0.3 : 0.5;
            reasons.Add($"Of the product of their norms {Percent(interference)} cancels when they are added (independent vectors: 32 %), and the largest fifth of the entries holds {Percent(concentration)} of their squares: trimming and a sign election (ties) remove interference; keep {Percent(density)}.");
            return new MethodSuggestion("ties", weights, density, 1, reasons, cautions);
        }

        reasons.Add($"The task vectors change different entries: only {Percent(interference)} of the product of their norms cancels when they are added (independent vectors: 32 %), so adding them (task_arithmetic) keeps most of each.");
        return new MethodSuggestion("task_arithmetic", weights, null, 1, reasons, cautions);
    }

    /// <summary>The suggestion with a stronger or weaker merged task vector.</summary>
    public MethodSuggestion Scaled(double scale) => Method == "ties" ? this with { Lambda = Lambda * scale } : this with { Weights = [.. Weights.Select(weight => weight * scale)] };

    /// <summary>The suggestion as a recipe with its reasons as comments, and, if wanted, as a search over its parameters.</summary>
    /// <param name="statistics">What it was made of.</param>
    /// <param name="origin">The base model's path.</param>
    /// <param name="models">The models' paths.</param>
    public string ToRecipe(DeltaStatistics statistics, string origin, IReadOnlyList<string> models)
    {
        var text = new StringBuilder();
        foreach (var line in Reasons.Concat(Cautions.Select(caution => $"Caution: {caution}")))
            text.Append("# ").Append(line.ReplaceLineEndings(" ")).Append('\n');
        foreach (var (i, model) in statistics.Models.Index())
            text.Append(CultureInfo.InvariantCulture, $"# {model.ReplaceLineEndings(" ")}: |task vector| / |base| = {statistics.RelativeNorms[i]:0.####}\n");
        text.Append("merge_method: ").Append(Method).Append('\n');
        if (Method != "linear")
            text.Append("base_model: ").Append(Quoted(origin)).Append('\n');
        text.Append("models:\n");
        foreach (var (i, model) in models.Index())
        {
            text.Append("  - model: ").Append(Quoted(model)).Append("\n    parameters:\n").Append(CultureInfo.InvariantCulture, $"      weight: {Weights[i]:0.###}\n");
            if (Density is { } density)
                text.Append(CultureInfo.InvariantCulture, $"      density: {density:0.##}\n");
        }

        if (Lambda != 1)
            text.Append(CultureInfo.InvariantCulture, $"parameters:\n  lambda: {Lambda:0.###}\n");
        return text.Append("dtype: float32\nout_dtype: bfloat16\n").ToString();
    }

    private static void Caution(DeltaStatistics statistics, List<string> cautions)
    {
        foreach (var (i, model) in statistics.Models.Index())
        {
            if (statistics.RelativeNorms[i] > Far)
                cautions.Add($"{model} is far from the base (its task vector has {Percent(statistics.RelativeNorms[i])} of the base's norm). If it is no fine-tune of this base, do not merge it: run an ensemble instead.");
            if (statistics.RelativeNorms[i] < Identical)
                cautions.Add($"{model} is the base.");
        }

        for (var i = 0; i < statistics.Cosines.Length; i++)
            for (var j = i + 1; j < statistics.Cosines.Length; j++)
                if (statistics.Cosines[i][j] < -0.2)
                    cautions.Add($"The task vectors of {statistics.Models[i]} and {statistics.Models[j]} point against each other (cosine {Number(statistics.Cosines[i][j])}): adding them undoes both.");
    }

    private static double[] Even(int count) => [.. Enumerable.Repeat(1.0, count)];

    private static string Percent(double share) => share.ToString("P0", CultureInfo.InvariantCulture);

    private static string Number(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    private static string Quoted(string path) => System.Text.Json.JsonSerializer.Serialize(path);
}
