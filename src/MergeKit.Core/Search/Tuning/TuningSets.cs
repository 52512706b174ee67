using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes.Searching;

namespace MergeKit.Core.Search.Tuning;

/// <summary>The data of a search document, read and prepared.</summary>
/// <param name="Sets">Tuning sets, then control sets, whose weight in the objective is 0.</param>
/// <param name="ControlWeights">Per set its weight as a control; 0 for tuning sets.</param>
/// <param name="Files">The files read.</param>
public sealed record TuningSets(IReadOnlyList<TuningSet> Sets, IReadOnlyList<double> ControlWeights, IReadOnlyList<string> Files)
{
    /// <summary>Reads and prepares the tuning and control data; the test data are not opened, only looked for.</summary>
    /// <param name="search">The document.</param>
    /// <param name="resolve">Where a path of the document leads.</param>
    /// <param name="encoder">The candidates' tokenizer.</param>
    /// <param name="maxLength">The candidates' context.</param>
    /// <param name="vocabulary">The candidates' number of ids.</param>
    /// <exception cref="InputException">Data are missing or malformed, or a file is both tuned and tested on; lists all.</exception>
    public static TuningSets Prepare(SearchRecipe search, Func<string, string> resolve, ITextEncoder encoder, int maxLength, int vocabulary)
    {
        var problems = new List<Problem>();
        var (sets, weights) = (new List<TuningSet>(), new List<double>());
        foreach (var (data, isControl) in search.Tune.Select(data => (data, false)).Concat(search.Control.Select(data => (data, true))))
        {
            try
            {
                var set = Prepare(data, isControl, resolve(data.Path), encoder, maxLength, vocabulary);
                if (sets.Exists(other => other.Name == set.Name))
                    problems.Add(Problem.Error($"two data sets have the name '{set.Name}'; give one of them another 'name'", data.Location));
                sets.Add(set);
                weights.Add(isControl ? data.Weight : 0);
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? data.Location }));
            }
        }

        CheckTest(search, resolve, problems);
        if (problems.Count > 0)
            throw new InputException(problems);
        return new TuningSets(sets, weights, [.. search.Tune.Concat(search.Control).Select(data => resolve(data.Path)).Distinct(StringComparer.Ordinal)]);
    }

    /// <summary>What can be seen of the data without a tokenizer: files that are missing, empty or malformed, and such as are both tuned and tested on.</summary>
    /// <param name="search">The document.</param>
    /// <param name="resolve">Where a path of the document leads.</param>
    public static IReadOnlyList<Problem> Check(SearchRecipe search, Func<string, string> resolve)
    {
        var problems = new List<Problem>();
        foreach (var data in search.Tune.Concat(search.Control))
        {
            try
            {
                DataSetReader.Read(resolve(data.Path), data.Name);
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? data.Location }));
            }
        }

        CheckTest(search, resolve, problems);
        return problems;
    }

    private static TuningSet Prepare(SearchData data, bool isControl, string path, ITextEncoder encoder, int maxLength, int vocabulary)
    {
        var read = DataSetReader.Read(path, data.Name);
        var weight = isControl ? 0 : data.Weight;
        if (read is not TextDataSet text)
            return data.Tokens is null ? ItemTuningSet.Prepare(read, read.Name, data.Metric, weight, data.Limit, data.Location)
                : throw new InputException([Problem.Error($"{path}: 'tokens' is for texts; use 'limit' for items", data.Location)]);
        return data.Metric is null or "bits_per_byte" ? TextTuningSet.Prepare(text, read.Name, weight, data.Limit, data.Tokens, encoder, maxLength, vocabulary)
            : throw new InputException([Problem.Error($"{path}: the metric '{data.Metric}' does not go with a text; wanted bits_per_byte", data.Location)]);
    }

    /// <summary>Test files that are missing, share a name, or hold what is tuned on: a file is read here only if it is as long as one of those.</summary>
    private static void CheckTest(SearchRecipe search, Func<string, string> resolve, List<Problem> problems)
    {
        List<string> tuned = [.. search.Tune.Concat(search.Control).Select(data => Path.GetFullPath(resolve(data.Path))).Where(File.Exists)];
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var data in search.Test)
        {
            var path = Path.GetFullPath(resolve(data.Path));
            if (!names.Add(data.Name ?? DataSetReader.NameOf(path)))
                problems.Add(Problem.Error($"two test data sets have the name '{data.Name ?? DataSetReader.NameOf(path)}'; give one of them another 'name'", data.Location));
            if (!File.Exists(path))
                problems.Add(Problem.Error($"{resolve(data.Path)}: {(Directory.Exists(path) ? "this is a folder; a file is wanted" : "no such file")}", data.Location));
            else if (new FileInfo(path).Length == 0)
                problems.Add(Problem.Error($"{resolve(data.Path)}: the file is empty", data.Location));
            else if (tuned.Contains(path))
                problems.Add(Problem.Error($"{resolve(data.Path)}: is tuned on, so it cannot be the test as well: the result would flatter itself", data.Location));
            else if (tuned.Find(other => HoldTheSame(path, other)) is { } same)
                problems.Add(Problem.Error($"{resolve(data.Path)}: holds the same as {same}, which is tuned on, so it cannot be the test as well: the result would flatter itself", data.Location));
        }
    }

    private static bool HoldTheSame(string path, string other) =>
        new FileInfo(path).Length == new FileInfo(other).Length && File.ReadAllBytes(path).AsSpan().SequenceEqual(File.ReadAllBytes(other));
}
