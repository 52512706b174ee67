using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>Learns an ensemble's weights from answers, by the kind of ensemble.</summary>
public static class EnsembleLearner
{
    /// <summary>The kinds of ensemble whose weights can be learned.</summary>
    public static IReadOnlyList<string> Rules { get; } = ["linear", "posterior", "log_linear", "gated"];

    /// <summary>Runs every member once over the answers, then learns. Members share one vocabulary.</summary>
    /// <param name="rule">The kind of ensemble, one of <see cref="Rules"/>.</param>
    /// <param name="members">The members, in order.</param>
    /// <param name="answers">What to learn from.</param>
    /// <param name="vocabulary">Ids that count; rows of padding beyond are cut.</param>
    /// <param name="settings">Folds, ridge, method.</param>
    /// <param name="classes">The class of each token id, for gates; null: none is known.</param>
    /// <exception cref="InputException">The rule has no weights to learn, or the method does not fit it.</exception>
    public static LearnedWeights Learn(
        string rule, IReadOnlyList<ILanguageModel> members, AnswerSet answers, int vocabulary, LearnSettings settings, Func<int, Ensembles.TokenClass>? classes = null)
    {
        var method = MethodOf(rule, settings);
        string[] names = [.. members.Select(member => member.Name)];
        var perMember = members.Select(member => Scored(member, answers)).ToArray();
        var scores = GoldLogProbs.Of([.. Enumerable.Range(0, answers.Gold.Length).Select(t => (IReadOnlyList<double>)[.. perMember.Select(row => row[t])])]);
        if (method == "em")
        {
            var still = WeightLearner.Learn(rule, method, names, new LinearProblem(scores), scores, answers, settings.Folds);
            return rule == "gated" ? GateLearner.Learn(still, members, answers, scores, vocabulary, settings, classes) : still;
        }

        RowLogits[] rows = [.. members.Select(member => new RowLogits(member.Rows(answers.Requests), member.VocabularySize, vocabulary))];
        try
        {
            IWeightProblem problem = method == "newton" ? new LogLinearProblem(rows, answers.Gold, settings.L2) : new PackProblem(rows, answers.Gold, method == "greedy");
            return WeightLearner.Learn(rule, method, names, problem, scores, answers, settings.Folds);
        }
        finally
        {
            Array.ForEach(rows, row => row.Dispose());
        }
    }

    private static string MethodOf(string rule, LearnSettings settings)
    {
        string[] fitting = rule switch
        {
            "linear" or "posterior" or "gated" => ["em"],
            "log_linear" => ["newton", "similarity", "greedy"],
            "perplexity" => throw Refuse("takes its weights from every prompt; to learn them once, use ensemble: log_linear with method: similarity or greedy"),
            _ => throw Refuse($"has no weights to learn; {string.Join(", ", Rules)} have"),
        };
        return settings.Method == "auto" ? fitting[0] : fitting.Contains(settings.Method) ? settings.Method
            : throw Refuse($"is not learned by '{settings.Method}'; wanted {string.Join(" or ", fitting)}, or auto");

        InputException Refuse(string why) => new([Problem.Error($"'learn': ensemble '{rule}' {why}", settings.Location)]);
    }

    private static double[] Scored(ILanguageModel member, AnswerSet answers)
    {
        var scores = answers.LogProbs(member);
        return Array.FindIndex(scores, double.IsNaN) is >= 0 and var at
            ? throw new InputException($"{member.Name}: gives NaN as the probability of answer token {at + 1}") : scores;
    }
}
