using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Workflows;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Ensembles;

/// <summary>Makes an ensemble of its recipe: opens the members, each model once, brings their vocabularies together, and sets up the rule.</summary>
internal sealed class EnsembleBuilder(ModelOpener opener, int threads)
{
    /// <summary>Builds.</summary>
    /// <exception cref="InputException">Members cannot be used, or do not go together; carries every problem found.</exception>
    public OpenedModel Build(EnsembleRecipe recipe, RecipeScope scope, string name)
    {
        var (shared, notes) = (new SharedTensors(), new List<Problem>());
        var opened = new Dictionary<ModelReference, OpenedModel>();
        try
        {
            OpenMembers(recipe, scope, shared, opened);
            notes.AddRange(recipe.Type is null ? [] : Untouched(recipe, scope));
            var members = recipe.Members.Select(member => opened[member.Model]).ToList();
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
                AtOnce = AtOnce(recipe, members, vocabulary.Places),
            });
            return new OpenedModel(ensemble, vocabulary.Encoder, vocabulary.TokenizerId)
            {
                Tokenizer = vocabulary.Tokenizer,
                Folder = vocabulary.Folder,
                Bags = recipe.Bagging is { } bagging ? new MemberBags(
                    Path.GetFullPath(opener.PathOf(bagging.Data, scope.File)), bagging.Seed, [.. recipe.Members.SelectMany((member, i) => places[i].Select(_ => member.Bag))]) : null,
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
        var devices = recipe.Execution.Members == "devices" ? Devices(recipe) : [];
        foreach (var (index, reference) in recipe.Members.Select(member => member.Model).Distinct().Index())
        {
            try
            {
                opened[reference] = opener.Open(
                    reference, scope, Path.GetFileName(Path.TrimEndingDirectorySeparator(reference.ToString())),
                    source => shared.Wrap(recipe.Type is { } type ? new ConvertedWeights(source, type) : source), devices.Count > 0 ? devices[index % devices.Count] : null);
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>The GPUs among which members are shared out.</summary>
    private List<DeviceChoice> Devices(EnsembleRecipe recipe)
    {
        var (usable, reasons) = opener.Device.IsAuto ? CudaDevice.Discover() : ([], [$"--device {opener.Device} was asked for"]);
        return usable.Count > 1 ? [.. usable.Select(gpu => DeviceChoice.OnCuda(gpu.Index))] : throw new InputException([Problem.Error(
            $"'members: devices' wants two or more NVIDIA GPUs that can be used; there {(usable.Count == 1 ? "is one" : "are none")}{(reasons.Count > 0 ? $" ({string.Join("; ", reasons)})" : "")}. 'auto' runs anywhere",
            recipe.Execution.Location)]);
    }

    /// <summary>Members for whose type another document is responsible.</summary>
    private static IEnumerable<Problem> Untouched(EnsembleRecipe recipe, RecipeScope scope) => recipe.Members
        .Where(member => scope.Documents.Any(other => RecipeSet.Names(member.Model, other)) || ModelOpener.IsRecipe(member.Model.Path))
        .Select(member => Problem.Note($"'dtype' does not hold for '{member.Model}': the document that makes it says of which type it is", member.Location));

    /// <summary>The members that run at the same time.</summary>
    private List<IReadOnlyList<ILanguageModel>> AtOnce(EnsembleRecipe recipe, List<OpenedModel> members, IReadOnlyList<ILanguageModel> places)
    {
        var models = members.Select(member => member.Model).OfType<LanguageModel>().Distinct().ToList();
        if (recipe.Execution.Members == "sequential" || models.Count < 2 || models.Count < members.Count || places.Count != members.Count)
            return [];
        var isCpu = models.TrueForAll(model => model.IsOnCpu);
        IReadOnlyList<(int[] Members, int Threads)> sets = recipe.Execution.Members == "auto" ? isCpu ? MemberSchedule.Plan([.. models.Select(model => model.WeightBytes)], threads) : []
            : [([.. Enumerable.Range(0, models.Count)], Math.Max(1, threads / models.Count))];
        foreach (var (set, share) in sets)
            Array.ForEach(set, member => models[member].UseThreads(share));
        return [.. sets.Select(set => (IReadOnlyList<ILanguageModel>)[.. set.Members.Select(member => places[member])])];
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
