using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>Collects what is wrong with a file, up to a number that a person would still read.</summary>
internal sealed class ProblemList
{
    private const int Limit = 100;
    private readonly List<Problem> _items = [];

    /// <summary>Warnings found so far.</summary>
    public IReadOnlyList<Problem> Warnings => [.. _items.Where(item => item.Severity == Severity.Warning)];

    /// <summary>How many errors were found so far.</summary>
    public int Errors => _items.Count(item => item.Severity == Severity.Error);

    /// <summary>Notes an error.</summary>
    public void Error(string message, SourceLocation location) => Add(Problem.Error(message, location));

    /// <summary>Notes a warning.</summary>
    public void Warning(string message, SourceLocation location) => Add(Problem.Warning(message, location));

    /// <summary>Takes over what another list holds.</summary>
    public void AddRange(ProblemList other)
    {
        foreach (var item in other._items)
            Add(item);
    }

    /// <summary>Stops if there is an error.</summary>
    /// <exception cref="InputException">There is; it carries everything found, in the order of the file.</exception>
    public void ThrowIfErrors()
    {
        if (Errors == 0)
            return;
        var ordered = _items.OrderBy(item => item.Location?.Line).ThenBy(item => item.Location?.Column).ToList();
        throw new InputException(Errors >= Limit ? [.. ordered, Problem.Error($"{Limit} problems or more; the rest is not shown")] : ordered);
    }

    private void Add(Problem problem)
    {
        if (_items.Count(item => item.Severity == problem.Severity) < Limit && !_items.Contains(problem))
            _items.Add(problem);
    }
}
