using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>The documents of one file as a whole: which uses which, and what the result is.</summary>
public static class RecipeSet
{
    /// <summary>The documents in an order in which each comes after those whose results it uses; otherwise as written.</summary>
    /// <exception cref="InputException">A name stands twice, or documents use each other in a circle.</exception>
    public static IReadOnlyList<T> BuildOrder<T>(IReadOnlyList<T> documents)
        where T : class, IRecipeDocument
    {
        var problems = new ProblemList();
        Check(documents, problems);
        problems.ThrowIfErrors();
        var uses = documents.ToDictionary(document => document, document => UsedBy(document, documents));
        var order = new List<T>();
        while (order.Count < documents.Count)
            order.Add(documents.First(document => !order.Contains(document) && uses[document].All(order.Contains)));
        return order;
    }

    /// <summary>The documents whose results one document uses as models.</summary>
    public static IReadOnlyList<T> UsedBy<T>(T document, IReadOnlyList<T> documents)
        where T : class, IRecipeDocument
    {
        var models = document.AllModels();
        return [.. documents.Where(other => other.Name is not null && models.Any(model => Names(model, other)))];
    }

    /// <summary>Whether a model reference means a document's result.</summary>
    public static bool Names(ModelReference model, IRecipeDocument document) => model.Path == document.Name && model.Revision is null;

    /// <summary>The document whose result is the file's: the one without a name, else the last.</summary>
    public static T Result<T>(IReadOnlyList<T> documents)
        where T : class, IRecipeDocument => documents.FirstOrDefault(document => document.Name is null) ?? documents[^1];

    /// <summary>Notes names that stand twice, a second document without a name, and circles.</summary>
    internal static void Check<T>(IReadOnlyList<T> documents, ProblemList problems)
        where T : class, IRecipeDocument
    {
        var before = problems.Errors;
        foreach (var group in documents.Where(document => document.Name is not null).GroupBy(document => document.Name))
            foreach (var repeated in group.Skip(1))
                problems.Error(
                    $"the name '{group.Key}' stands twice; it is taken by the document of line {group.First().Location.Line}",
                    repeated.Location);
        foreach (var second in documents.Where(document => document.Name is null && document.MakesModel).Skip(1))
            problems.Error("only one document of a file may go without a 'name': it is the result", second.Location);
        if (problems.Errors == before)
            CheckCircles(documents, problems);
    }

    private static void CheckCircles<T>(IReadOnlyList<T> documents, ProblemList problems)
        where T : class, IRecipeDocument
    {
        var uses = documents.ToDictionary(document => document, document => UsedBy(document, documents));
        var open = documents.ToHashSet();
        while (open.FirstOrDefault(document => !uses[document].Any(open.Contains)) is { } free)
            open.Remove(free);
        if (open.Count == 0)
            return;
        var walk = new List<T> { documents.First(open.Contains) };
        while (walk.IndexOf(walk[^1]) == walk.Count - 1)
            walk.Add(uses[walk[^1]].First(open.Contains));
        var circle = walk[walk.IndexOf(walk[^1])..];
        problems.Error(
            $"documents use each other in a circle: {string.Join(" -> ", circle.Select(document => document.Name))}",
            circle[0].Location);
    }
}
