using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Checking;

namespace MergeKit.Cli.Commands;

/// <summary>The models that a document names, each opened once.</summary>
internal sealed class ModelSet : IDisposable
{
    private readonly Dictionary<string, EvaluatedModel> _models = new(StringComparer.Ordinal);
    private readonly List<ModelFolder> _opened = [];

    private ModelSet()
    {
    }

    /// <summary>A model by how the document names it.</summary>
    public EvaluatedModel this[ModelReference reference] => _models[reference.ToString()];

    /// <summary>Opens all; every one that cannot be opened is named with its place.</summary>
    public static ModelSet Open(IReadOnlyList<ModelReference> references, string file, ParseResult parsed, TextWriter error)
    {
        var (set, problems) = (new ModelSet(), new List<Problem>());
        try
        {
            foreach (var reference in references)
            {
                try
                {
                    var folder = ModelFolder.Open(
                        InputPath.Resolve(reference.Path, file, CommonOptions.ToPlanOptions(parsed, null)), reference.ToString(), parsed.GetValue(CommonOptions.Threads));
                    set._opened.Add(folder);
                    set._models[reference.ToString()] = folder.ForEvaluation();
                }
                catch (InputException e)
                {
                    problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? reference.Location }));
                }
            }

            if (problems.Count > 0)
                throw new InputException(problems);
            ProblemPrinter.Print(set._opened.SelectMany(folder => folder.Warnings), error);
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }
    }

    public void Dispose() => _opened.ForEach(folder => folder.Dispose());
}
