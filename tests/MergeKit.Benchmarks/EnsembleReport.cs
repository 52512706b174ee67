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
    private static readonly double[] Alphas = [-1, -0.5, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.5, 1];
    private static readonly string[] Domains = ["shakespeare", "code", "man", "german", "arithmetic"];
    private readonly string _evaluation;
    private readonly ModelShelf _shelf;
    private readonly StringBuilder _text = new();
    private readonly Dictionary<(ILanguageModel, string), double> _scores = [];

    private EnsembleReport(string models, string evaluation) => (_evaluation, _shelf) = (evaluation, new ModelShelf(models));

    /// <summary>ensembles MODELS EVAL [OUT.md] [SECTION...]: folders of the trained models and of their evaluation data; sections are runs, experts,
    /// steering and proxy-tuning, all of them unless some are named.</summary>
    public static int Run(string[] args)
    {
        if (args.Length < 2)
        {
            Console.Error.WriteLine("usage: ensembles MODELS EVAL [OUT.md] [runs] [experts] [steering] [proxy-tuning]");
            return 2;
        }

        using var report = new EnsembleReport(args[0], args[1]);
        (string Name, Action Write)[] sections =
        [
            ("runs", report.Runs), ("experts", () => report.Experts("nano")),
            ("steering", () => report.Steering("nano/base", "nano/ft-german", "nano/ft-shakespeare", "german", "shakespeare")),
            ("steering", () => report.Steering("nano/base", "nano/ft-code", "nano/ft-man", "code", "man")),
            ("proxy-tuning", () => report.Steering("small/base", "nano/ft-german", "nano/base", "german", "shakespeare")),
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
        string[] shakespeare = ["nano/ft-shakespeare", "nano/soup-shakespeare-1", "nano/soup-shakespeare-2", "nano/soup-shakespeare-bad"];
        string[] man = ["nano/ckpt-man-400", "nano/ckpt-man-500", "nano/ckpt-man-600"];
        Family($"## {shakespeare.Length} runs of one task: {string.Join(", ", shakespeare.Select(Short))}", "shakespeare", shakespeare, int.MaxValue);
        Family($"## {man.Length} runs of one task: {string.Join(", ", man.Select(Short))}", "man", man, int.MaxValue);
    }

    /// <summary>One expert per domain and the base, on each domain.</summary>
    private void Experts(string size)
    {
        Say($"## Experts of five domains and their base ({size})\n");
        Say($"Weights in the order base, {string.Join(", ", Domains)}; on the first {PartOfText} characters of each held-out text.\n");
        foreach (var domain in Domains.Append("general"))
            Family($"### {domain}", domain, [$"{size}/base", .. Domains.Select(expert => $"{size}/ft-{expert}")], PartOfText);
    }

    /// <summary>Several models and one domain: the ways to use all of them.</summary>
    private void Family(string title, string domain, string[] members, int most)
    {
        var (validation, heldOut) = (Text(domain, "val", most / 2), Text(domain, "heldout", most));
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
            ("ensemble, log-linear, uniform", new Ensemble("uniform", models, new LogLinearCombiner([.. models.Select(_ => 1.0 / models.Length)]))),
            ($"ensemble, log-linear, learned: {Weights(logLinear)}", new Ensemble("learned", models, new LogLinearCombiner(logLinear.Weights))),
        ];
        var results = rows.Select(row => Measure(row.Model, heldOut)).ToArray();
        Say($"{title}\n");
        Say($"Best single and greedy soup chosen on `{domain}/val.txt`, weights learned from the {linear.Examples} answers of `{domain}/mc_val.jsonl` ({linear.Tokens} tokens).\n");
        Say("| way | bits per byte [95 %] | minus best single | minus uniform average | minus greedy soup | minus uniform linear ensemble |");
        Say("|---|---|---|---|---|---|");
        foreach (var (row, result) in rows.Zip(results))
            Say($"| {row.Name} | {Figures.Bits(result)} | {string.Join(" | ", results.Take(4).Select(other => Figures.Difference(result, other)))} |");
        Say("");
    }

    /// <summary>DExperts between two domains as a curve over a grid of alphas that was fixed before anything was measured; which alpha is best for the first domain is
    /// decided on its validation text.</summary>
    private void Steering(string core, string expert, string antiexpert, string towards, string from)
    {
        Say($"## DExperts: {core} + alpha ({expert} - {antiexpert})\n");
        Say($"The first {PartOfText} characters of each held-out text; alpha chosen on the first {PartOfText / 2} of `{towards}/val.txt`.\n");
        Say($"| alpha | {towards}, validation | {towards}, held out | minus alpha 0 | {from}, held out | minus alpha 0 |");
        Say("|---|---|---|---|---|---|");
        DataSet[] texts = [Text(towards, "val", PartOfText / 2), Text(towards, "heldout", PartOfText), Text(from, "heldout", PartOfText)];
        var still = texts.Select(text => Measure(_shelf[core], text)).ToArray();
        var curve = new List<(double Alpha, DataSetResult[] Results)>();
        foreach (var alpha in Alphas)
        {
            var model = new Ensemble("steered", [_shelf[core], _shelf[expert], _shelf[antiexpert]], new DExpertsCombiner(alpha));
            curve.Add((alpha, alpha == 0 ? still : [.. texts.Select(text => Measure(model, text))]));
            var r = curve[^1].Results;
            Say($"| {N(alpha)} | {F(r[0]["bits_per_byte"].Value)} | {Figures.Bits(r[1])} | {Figures.Difference(r[1], still[1])} | {Figures.Bits(r[2])} | {Figures.Difference(r[2], still[2])} |");
        }

        var chosen = curve.MinBy(point => point.Results[0]["bits_per_byte"].Value);
        Say($"\nChosen on validation: alpha {N(chosen.Alpha)}. Held out, against alpha 0: {towards} {Figures.Difference(chosen.Results[1], still[1])}, {from} {Figures.Difference(chosen.Results[2], still[2])}.\n");
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

    private static string N(double value) => value.ToString(CultureInfo.InvariantCulture);

    private static string F(double value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private void Say(string line)
    {
        Console.WriteLine(line);
        _text.Append(line).Append('\n');
    }
}
