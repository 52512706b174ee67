using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Ensembles;

/// <summary>Makes an ensemble of its recipe: opens the members, each model once, brings their vocabularies together, and sets up the rule.</summary>
internal sealed class EnsembleBuilder(ModelOpener opener, int threads)
{
    /// <summary>Builds.</summary>
    /// <exception cref="InputException">Members cannot be used, or do not go together; carries every problem found.</exception>
    public OpenedModel Build(EnsembleRecipe recipe, RecipeScope scope, string name)
    {
        var shared = new SharedTensors();
        var opened = new Dictionary<ModelReference, OpenedModel>();
        try
        {
            OpenMembers(recipe, scope, shared, opened);
            var members = recipe.Members.Select(member => opened[member.Model]).ToList();
            var notes = new List<Problem>();
            if (recipe.Learn is { } learn)
            {
                var learned = WeightLearning.Learn(recipe, members, opener.PathOf(learn.Data, scope.File));
                notes.Add(WeightLearning.Note(recipe, learned));
                recipe = WeightLearning.Apply(recipe, learned);
            }

            var places = members.Select((member, i) => Passes(member, recipe.Members[i])).ToList();
            var vocabulary = VocabularyBuilder.Build(recipe, members, places);
            var ensemble = new Ensemble(name, recipe.Context is { } context ? Contexts(vocabulary, members[0], context) : vocabulary.Places, Combiner(recipe, vocabulary), new EnsembleOptions
            {
                VocabularySize = vocabulary.Size,
                LeaderThreshold = recipe.Parameters.TryGetValue("leader_threshold", out var threshold) ? threshold : null,
                Leader = vocabulary.PivotPlace,
                Classes = recipe.Rule.Name == "gated" ? TokenClasses.Of(vocabulary.Encoder, vocabulary.Size) : [],
                Threads = threads,
            });
            return new OpenedModel(ensemble, vocabulary.Encoder, vocabulary.TokenizerId)
            {
                Tokenizer = vocabulary.Tokenizer,
                Folder = vocabulary.Folder,
                WeightBytes = opened.Sum(pair => pair.Value.WeightBytes * recipe.Members.Where(member => member.Model == pair.Key).Max(member => member.Dropout?.Passes ?? 1)),
                Warnings = [.. members.Distinct().SelectMany(member => member.Warnings), .. notes],
                Remarks = () => [.. vocabulary.Remarks(), .. members.Distinct().SelectMany(member => member.Remarks())],
            }.Own([shared, .. opened.Values]);
        }
        catch (EnsembleException e)
        {
            Close();
            throw new InputException([Problem.Error(e.Message, recipe.Location)]);
        }
        catch
        {
            Close();
            throw;
        }

        void Close()
        {
            foreach (var member in opened.Values)
                member.Dispose();
            shared.Dispose();
        }
    }

    private void OpenMembers(EnsembleRecipe recipe, RecipeScope scope, SharedTensors shared, Dictionary<ModelReference, OpenedModel> opened)
    {
        var problems = new List<Problem>();
        foreach (var reference in recipe.Members.Select(member => member.Model).Distinct())
        {
            try
            {
                opened[reference] = opener.Open(reference, scope, Path.GetFileName(Path.TrimEndingDirectorySeparator(reference.ToString())), shared.Wrap);
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>A member's models: itself, or one per pass with dropout.</summary>
    private static IReadOnlyList<ILanguageModel> Passes(OpenedModel member, EnsembleMember entry)
    {
        if (entry.Dropout is not { } dropout)
            return [member.Model];
        if (member.Model is not LanguageModel model)
            throw new InputException([Problem.Error($"'{entry.Model}' is an ensemble; dropout is for a single model", entry.Location)]);
        var passes = Enumerable.Range(0, dropout.Passes).Select(pass => model.WithDropout(dropout.Rate, dropout.Seed, pass)).ToList();
        member.Own(passes);
        return passes;
    }

    private static ICombiner Combiner(EnsembleRecipe recipe, MemberVocabulary vocabulary) => recipe.Vocabulary.Mode == "topk_union"
        ? vocabulary.TopKUnion(CombinerFactory.Weights(recipe), recipe)
        : CombinerFactory.Create(recipe, CombinerFactory.Weights(recipe));

    private static IReadOnlyList<ILanguageModel> Contexts(MemberVocabulary vocabulary, OpenedModel member, string context) =>
        [new PrefixedModel(vocabulary.Places[0], member.Encoder.Encode(context, addSpecialTokens: false), member.Encoder.BosId), vocabulary.Places[0]];
}
