using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Commands;

/// <summary>The models that a document names, each opened once.</summary>
internal sealed class ModelSet : IDisposable
{
    private readonly Dictionary<string, OpenedModel> _models = new(StringComparer.Ordinal);

    private ModelSet()
    {
    }

    /// <summary>A model by how the document names it.</summary>
    public OpenedModel this[ModelReference reference] => _models[reference.ToString()];

    /// <summary>Opens all; every one that cannot be opened is named with its place.</summary>
    public static ModelSet Open(
        IReadOnlyList<ModelReference> references, RecipeScope scope, ParseResult parsed, TextWriter error, CancellationToken cancellation)
    {
        var (set, problems, opener) = (new ModelSet(), new List<Problem>(), ModelOptions.Opener(parsed, cancellation));
        try
        {
            foreach (var (reference, name) in references.Zip(Names(references)))
            {
                try
                {
                    set._models[reference.ToString()] = opener.Open(reference, scope, name);
                }
                catch (InputException e)
                {
                    problems.AddRange(e.Problems);
                }
            }

            if (problems.Count > 0)
                throw new InputException(problems);
            ProblemPrinter.Print(set._models.Values.SelectMany(model => model.Warnings), error);
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }
    }

    /// <summary>A model as evaluation wants it.</summary>
    public EvaluatedModel ForEvaluation(ModelReference reference) => this[reference].ForEvaluation();

    public void Dispose()
    {
        foreach (var model in _models.Values)
            model.Dispose();
    }

    /// <summary>The last parts where these differ, else the references as written.</summary>
    private static IEnumerable<string> Names(IReadOnlyList<ModelReference> references)
    {
        string[] names = [.. references.Select(reference => Path.GetFileName(Path.TrimEndingDirectorySeparator(reference.ToString())))];
        return names.Distinct(StringComparer.Ordinal).Count() == names.Length ? names : references.Select(reference => reference.ToString());
    }
}
