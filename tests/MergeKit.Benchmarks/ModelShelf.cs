using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Checking;

namespace MergeKit.Benchmarks;

/// <summary>Models of a folder, and averages of their weights, each opened or merged once.</summary>
internal sealed class ModelShelf(string root) : IDisposable
{
    private readonly string _scratch = Directory.CreateTempSubdirectory("mergekit-averages").FullName;
    private readonly Dictionary<string, ModelFolder> _opened = new(StringComparer.Ordinal);

    /// <summary>The tokenizer, which all the trained models share.</summary>
    public TokenizerEncoder Encoder => new(_opened.Values.First().Tokenizer);

    /// <summary>A model by its path below the folder.</summary>
    public ILanguageModel this[string name] => Open(name, Path.Combine(root, name));

    /// <summary>The uniform average of several models' weights, computed and kept in float32; of one the model itself.</summary>
    public ILanguageModel Average(IReadOnlyList<string> names)
    {
        if (names.Count == 1)
            return this[names[0]];
        var name = string.Join('+', names.Order(StringComparer.Ordinal));
        var folder = Path.Combine(_scratch, name.Replace('/', '_'));
        if (!_opened.ContainsKey(name))
        {
            var models = string.Concat(names.Select(member => $"- {{model: \"{Path.GetFullPath(Path.Combine(root, member))}\", parameters: {{weight: 1.0}}}}\n"));
            using var plan = MergePlanner.Plan(RecipeReader.Parse("average.yml", $"merge_method: linear\nmodels:\n{models}dtype: float32\n")[0], new PlanOptions());
            new MergeRunner(plan, new MergeProgress()).Run(folder, ResumeMode.Never, _ => new Dictionary<string, string>(), CancellationToken.None);
        }

        return Open(name, folder);
    }

    public void Dispose()
    {
        foreach (var model in _opened.Values)
            model.Dispose();
        Directory.Delete(_scratch, recursive: true);
    }

    private ILanguageModel Open(string name, string folder) =>
        (_opened.TryGetValue(name, out var found) ? found : _opened[name] = ModelFolder.Open(folder, name, Environment.ProcessorCount)).Model;
}
