using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Collects complaints about tensors, so that one cause that shows in hundreds of tensors is one message.</summary>
internal sealed class GroupedProblems
{
    private const int Shown = 3;
    private readonly Dictionary<string, List<string>> _tensors = new(StringComparer.Ordinal);

    /// <summary>Adds a complaint about a tensor.</summary>
    public void Add(string complaint, string tensor)
    {
        if (!_tensors.TryGetValue(complaint, out var list))
            _tensors.Add(complaint, list = []);
        list.Add(tensor);
    }

    /// <summary>One error per distinct complaint, with the first tensors and the count.</summary>
    public IEnumerable<Problem> Summaries() => _tensors.Select(entry =>
    {
        var (complaint, tensors) = entry;
        var more = tensors.Count > Shown ? $" and {tensors.Count - Shown} more" : "";
        return Problem.Error($"{complaint} (tensor {string.Join(", ", tensors.Take(Shown))}{more})");
    });
}
