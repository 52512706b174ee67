using MathNet.Numerics.LinearAlgebra;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Search;

/// <summary>Which variables matter: a ridge regression of the objective on every variable and its square, each in its range from 0 to 1.
/// A variable's share is the variance of its two terms over the trials, among the sum of all.</summary>
internal static class ImportanceAnalysis
{
    private const double Ridge = 1e-3;
    private const double WorstShare = 0.9;

    /// <summary>The importances, most first, and the share of the variance that the regression explains.</summary>
    public static (IReadOnlyList<VariableImportance> Importance, double Fit) Of(IReadOnlyList<SearchVariable> variables, IReadOnlyList<Trial> trials, Trial winner)
    {
        var used = Usable(variables, trials);
        if (variables.Count == 0 || used.Count < 8)
            return ([], 0);
        var terms = Matrix<double>.Build.Dense(used.Count, 2 * variables.Count, (row, column) => Term(variables[column / 2], used[row].Values[column / 2], column % 2));
        var target = Vector<double>.Build.DenseOfEnumerable(used.Select(trial => trial.Objective));
        var means = terms.ColumnSums() / used.Count;
        var centred = Matrix<double>.Build.Dense(used.Count, terms.ColumnCount, (row, column) => terms[row, column] - means[column]);
        var response = target - (target.Sum() / used.Count);
        var gram = centred.TransposeThisAndMultiply(centred) + (Ridge * used.Count / 10 * Matrix<double>.Build.DenseIdentity(terms.ColumnCount));
        var slopes = gram.Solve(centred.TransposeThisAndMultiply(response));
        var variances = variables.Select((_, i) => ((slopes[2 * i] * centred.Column(2 * i)) + (slopes[(2 * i) + 1] * centred.Column((2 * i) + 1))).Let(part => part * part)).ToList();
        var (sum, total) = (variances.Sum(), response * response);
        var residual = response - (centred * slopes);
        return (
            [.. variables.Select((variable, i) => new VariableImportance(
                    variable.Name, sum > 0 ? variances[i] / sum : 0, slopes[2 * i] + (2 * slopes[(2 * i) + 1] * variable.PositionOf(winner.Values[i]))))
                .OrderByDescending(importance => importance.Share)],
            total > 0 ? Math.Max(0, 1 - (residual * residual / total)) : 0);
    }

    /// <summary>The finite candidates, without the worst tenth, whose broken models would drown the rest.</summary>
    private static List<Trial> Usable(IReadOnlyList<SearchVariable> variables, IReadOnlyList<Trial> trials)
    {
        var finite = trials.Where(trial => trial.Role == Trial.Candidate && double.IsFinite(trial.Objective) && trial.Values.Count == variables.Count).OrderBy(trial => trial.Objective).ToList();
        return finite[..(int)Math.Ceiling(finite.Count * WorstShare)];
    }

    private static double Term(SearchVariable variable, double value, int square) => variable.PositionOf(value) is var position && square == 0 ? position : Math.Pow(variable.PositionOf(value), 2);

    private static TResult Let<T, TResult>(this T value, Func<T, TResult> use) => use(value);
}
