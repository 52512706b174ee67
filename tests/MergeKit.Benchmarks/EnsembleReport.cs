using System.Globalization;
using System.Text;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Benchmarks;

/// <summary>Ensembles of the trained models on held-out text: against averages of weights, greedy soups and single models; steering by DExperts; learned weights
/// against uniform ones. Every choice is made on validation data, every figure is of other data.</summary>
internal sealed class EnsembleReport : IDisposable
{
    private const int PartOfText = 48_000;
    private static readonly string[] Domains = ["shakespeare", "code", "man", "german", "arithmetic"];
    private readonly string _evaluation;
    private readonly ModelShelf _shelf;
    private readonly StringBuilder _text = new();
    private readonly Dictionary<(ILanguageModel, string), double> _scores = [];

    private EnsembleReport(string models, string evaluation) => (_evaluation, _shelf) = (evaluation, new ModelShelf(models));

    /// <summary>ensembles MODELS EVAL [OUT.md] [SECTION...]: folders of the trained models and of their evaluation data; sections are runs, experts, experts-small,
    /// steering and proxy-tuning, all of them unless some are named.</summary>
    public static int Run(string[] args)
    {
        if (args.Length < 2)
        {
            Console.Error.WriteLine("usage: ensembles MODELS EVAL [OUT.md] [runs] [experts] [experts-small] [steering] [proxy-tuning]");
            return 2;
        }

        using var report = new EnsembleReport(args[0], args[1]);
        (string Name, Action Write)[] sections =
        [
            ("runs", report.Runs), ("experts", () => report.Experts("nano")), ("steering", () => report.Steering("nano/base", "nano/ft-german", "nano/ft-shakespeare", -0.5, -0.25, -0.1, -0.05, 0.05, 0.1, 0.25, 0.5)),
            ("experts-small", () => report.Experts("small")), ("proxy-tuning", () => report.Steering("small/base", "nano/ft-german", "nano/base", -0.5, 0.25, 0.5, 0.75, 1)),
        ];
        foreach (var (name, write) in sections)
            if (args.Length <= 3 || args.Skip(3).Contains(name))
                write();
        if (args.Length > 2)
            File.WriteAllText(args[2], report._text.ToString());
        return 0;
    }

    public void Dispose() => _shelf.Dispose();

    private void Runs()
    {
        Family("shakespeare", ["nano/ft-shakespeare", "nano/soup-shakespeare-1", "nano/soup-shakespeare-2", "nano/soup-shakespeare-bad"]);
        Family("man", ["nano/ckpt-man-400", "nano/ckpt-man-500", "nano/ckpt-man-600"]);
    }

    /// <summary>Runs of one task: the ways to use all of them.</summary>
    private void Family(string domain, string[] members)
    {
        var (validation, heldOut) = (Text(domain, "val"), Text(domain, "heldout"));
        string[] byScore = [.. members.OrderBy(member => BitsPerByte(_shelf[member], validation))];
        var soup = GreedySoup.Cook(members, names => BitsPerByte(_shelf.Average(names), validation), SoupAcceptance.Strict, ScoreDirection.Minimize);
        ILanguageModel[] models = [.. members.Select(member => _shelf[member])];
        var (linear, logLinear) = (Learn("linear", members, domain), Learn("log_linear", members, domain));
        (string Name, ILanguageModel Model)[] rows =
        [
            ($"best single ({Short(byScore[0])})", _shelf[byScore[0]]),
            ($"uniform average of the weights, {members.Length} models", _shelf.Average(members)),
            ($"greedy soup ({string.Join(" + ", soup.Ingredients.Select(Short))})", _shelf.Average(soup.Ingredients)),
            ("ensemble, linear, uniform", new Ensemble("uniform", models, new LinearCombiner([.. models.Select(_ => 1.0)]))),
            ($"ensemble, linear, learned: {Weights(linear)}", new Ensemble("learned", models, new LinearCombiner(linear.Weights))),
            ($"ensemble, log-linear, uniform", new Ensemble("uniform", models, new LogLinearCombiner([.. models.Select(_ => 1.0 / models.Length)]))),
            ($"ensemble, log-linear, learned: {Weights(logLinear)}", new Ensemble("learned", models, new LogLinearCombiner(logLinear.Weights))),
        ];
        var results = rows.Select(row => Measure(row.Model, heldOut)).ToArray();
        Say($"## {members.Length} runs of one task ({domain}): {string.Join(", ", members.Select(Short))}\n");
        Say($"Best single and greedy soup chosen on `{domain}/val.txt`, weights learned from the {linear.Examples} answers of `{domain}/mc_val.jsonl` ({linear.Tokens} tokens).\n");
        Say("| way | NLL per token | bits per byte [95 %] | minus best single | minus greedy soup | minus uniform linear ensemble |");
        Say("|---|---|---|---|---|---|");
        foreach (var (row, result) in rows.Zip(results))
            Say($"| {row.Name} | {F(result["nll_per_token"].Value)} | {Figures.Bits(result)} | {Figures.Difference(result, results[0])} | {Figures.Difference(result, results[2])} | {Figures.Difference(result, results[3])} |");
        Say("");
    }

    /// <summary>One expert per domain and the base: uniform weights against weights learned from 100 answers of a domain.</summary>
    private void Experts(string size)
    {
        string[] members = [$"{size}/base", .. Domains.Select(domain => $"{size}/ft-{domain}")];
        ILanguageModel[] models = [.. members.Select(member => _shelf[member])];
        Say($"## Experts of five domains and their base ({size}): learned weights against uniform\n");
        Say($"Weights in the order base, shakespeare, code, man, german, arithmetic; learned from 100 answers of the domain's `mc_val.jsonl`, measured on the first {PartOfText} characters of its `heldout.txt`.\n");
        Say("| domain | learned linear weights | seconds | uniform | learned linear | learned log-linear | linear minus uniform | linear minus best single | log-linear minus linear |");
        Say("|---|---|---|---|---|---|---|---|---|");
        foreach (var domain in Domains.Append("general"))
        {
            var (validation, heldOut) = (Text(domain, "val", PartOfText / 2), Text(domain, "heldout", PartOfText));
            var (linear, logLinear) = (Learn("linear", members, domain), Learn("log_linear", members, domain));
            var best = Measure(_shelf[members.MinBy(member => BitsPerByte(_shelf[member], validation))!], heldOut);
            var uniform = Measure(new Ensemble("uniform", models, new LinearCombiner([.. models.Select(_ => 1.0)])), heldOut);
            var learned = Measure(new Ensemble("learned", models, new LinearCombiner(linear.Weights)), heldOut);
            var signed = Measure(new Ensemble("log-linear", models, new LogLinearCombiner(logLinear.Weights)), heldOut);
            Say($"| {domain} | {Weights(linear)} | {linear.Seconds.ToString("0.000", CultureInfo.InvariantCulture)} | {Figures.Bits(uniform)} | {Figures.Bits(learned)} | {Figures.Bits(signed)} | {Figures.Difference(learned, uniform)} | {Figures.Difference(learned, best)} | {Figures.Difference(signed, learned)} |");
        }

        Say("");
    }

    /// <summary>DExperts between two domains as a curve over alpha: a pair of domains against each other, or a tuned small model against its base (proxy-tuning).</summary>
    private void Steering(string core, string expert, string antiexpert, params double[] alphas)
    {
        Say($"## DExperts: {core} + alpha ({expert} - {antiexpert})\n");
        Say($"On the first {PartOfText} characters of each held-out text.\n");
        Say("| alpha | german, bits per byte | minus alpha 0 | shakespeare, bits per byte | minus alpha 0 |");
        Say("|---|---|---|---|---|");
        DataSet[] texts = [Text("german", "heldout", PartOfText), Text("shakespeare", "heldout", PartOfText)];
        var still = texts.Select(text => Measure(_shelf[core], text)).ToArray();
        foreach (var alpha in alphas.Append(0).Order())
        {
            var model = new Ensemble("steered", [_shelf[core], _shelf[expert], _shelf[antiexpert]], new DExpertsCombiner(alpha));
            var results = alpha == 0 ? still : [.. texts.Select(text => Measure(model, text))];
            Say($"| {alpha.ToString(CultureInfo.InvariantCulture)} | {Figures.Bits(results[0])} | {Figures.Difference(results[0], still[0])} | {Figures.Bits(results[1])} | {Figures.Difference(results[1], still[1])} |");
        }

        Say("");
    }

    private LearnedWeights Learn(string rule, string[] members, string domain)
    {
        ILanguageModel[] models = [.. members.Select(member => _shelf[member])];
        var source = new ExampleSource(Path.Combine(_evaluation, domain, "mc_val.jsonl"));
        var answers = AnswerReader.Read(source, _shelf.Encoder, models.Min(model => model.MaxLength));
        var settings = new LearnSettings(source.Path, null, null, 100, 5, 0.01, "auto", default);
        return EnsembleLearner.Learn(rule, models, answers, models.Min(model => model.VocabularySize), settings);
    }

    /// <summary>A text, or its beginning up to a line's end.</summary>
    private DataSet Text(string domain, string file, int most = int.MaxValue)
    {
        var data = (TextDataSet)DataSetReader.Read(Path.Combine(_evaluation, domain, file + ".txt"));
        var text = data.Documents[0];
        return text.Length <= most ? data : data with { Documents = [text[..(text.LastIndexOf('\n', most) + 1)]] };
    }

    private DataSetResult Measure(ILanguageModel model, DataSet data) =>
        Evaluator.Run(new EvaluatedModel(model, _shelf.Encoder, "shared"), data, new EvaluationOptions { BootstrapDraws = 2000 });

    private double BitsPerByte(ILanguageModel model, DataSet data) => _scores.TryGetValue((model, data.Name), out var score) ? score
        : _scores[(model, data.Name)] = Measure(model, data)["bits_per_byte"].Value;

    private static string Short(string model) => model.Split('/')[^1];

    private static string Weights(LearnedWeights learned) => string.Join(", ", learned.Weights.Select(weight => (Math.Round(weight, 3) + 0.0).ToString("0.###", CultureInfo.InvariantCulture)));

    private static string F(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private void Say(string line)
    {
        Console.WriteLine(line);
        _text.Append(line).Append('\n');
    }
}
