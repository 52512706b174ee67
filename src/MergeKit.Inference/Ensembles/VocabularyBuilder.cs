using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles.Vocabularies;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Ensembles;

/// <summary>Brings the members' vocabularies together as a recipe says.</summary>
internal static class VocabularyBuilder
{
    private const int MostExamples = 3;

    /// <summary>Builds.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="members">The members.</param>
    /// <param name="passes">Per member its models: one, or one per pass with dropout.</param>
    /// <exception cref="InputException">They do not go together.</exception>
    public static MemberVocabulary Build(EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, IReadOnlyList<IReadOnlyList<ILanguageModel>> passes)
    {
        var pivot = recipe.Vocabulary.Pivot is { } named ? recipe.Members.ToList().FindIndex(member => member.Model.ToString() == named) : 0;
        var pivotPlace = passes.Take(pivot).Sum(models => models.Count);
        return recipe.Vocabulary.Mode switch
        {
            "identical" => Identical(recipe, members, passes, pivotPlace),
            "bytes" => Bytes(recipe, members, passes, pivotPlace),
            _ => Translated(recipe, members, passes, pivot, pivotPlace),
        };
    }

    private static MemberVocabulary Identical(
        EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, IReadOnlyList<IReadOnlyList<ILanguageModel>> passes, int pivotPlace)
    {
        var (first, problems) = (members[0], new List<Problem>());
        for (var k = 1; k < members.Count; k++)
            if (members[k].TokenizerId != first.TokenizerId)
                problems.Add(Problem.Error(Difference(recipe, members, k), recipe.Members[k].Location));
        if (problems.Count > 0)
            throw new InputException(problems);
        List<ILanguageModel> places = [.. passes.SelectMany(models => models)];
        return new MemberVocabulary(places, places.Min(place => place.VocabularySize), pivotPlace, first.Encoder, first.TokenizerId, first.Tokenizer, first.Folder);
    }

    private static string Difference(EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, int k)
    {
        var advice = $"state how they are brought together: vocabulary: {{mode: {string.Join(" | ", EnsembleRules.VocabularyModes.Skip(1))}}}";
        if (members[0].Tokenizer is not { } ours || members[k].Tokenizer is not { } theirs)
            return $"'{recipe.Members[k].Model}' has other tokens than '{recipe.Members[0].Model}'; {advice}";
        var examples = Enumerable.Range(0, Math.Max(ours.VocabularySize, theirs.VocabularySize)).Where(id => ours.IdToToken(id) != theirs.IdToToken(id)).ToList();
        var shown = examples.Take(MostExamples).Select(id => $"{id} is {Show(theirs.IdToToken(id))} there and {Show(ours.IdToToken(id))} here");
        return $"'{recipe.Members[k].Model}' has other tokens than '{recipe.Members[0].Model}' at {examples.Count} ids ({string.Join("; ", shown)}); {advice}";
    }

    private static string Show(string? token) => token is null ? "nothing" : $"'{token}'";

    private static MemberVocabulary Bytes(
        EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, IReadOnlyList<IReadOnlyList<ILanguageModel>> passes, int pivotPlace)
    {
        var (places, reports) = (new List<ILanguageModel>(), new List<(string Name, ByteModel Bytes)>());
        for (var k = 0; k < members.Count; k++)
            foreach (var model in passes[k])
            {
                var made = ByteModel.Create(model, TokenizerOf(recipe, members, k), recipe.Vocabulary.MaxCovers);
                places.Add(made.Model);
                reports.Add((recipe.Members[k].Model.ToString(), made.Bytes));
            }

        return new MemberVocabulary(Once(places, passes), ByteModel.Size, pivotPlace, new ByteEncoder(), "bytes", null, null)
        {
            Remarks = () => reports.Where(report => report.Bytes.DroppedMass > 0).Select(report => Problem.Note(string.Create(
                CultureInfo.InvariantCulture, $"'{report.Name}': at most {report.Bytes.DroppedMass:G2} of a text's probability was left out (max_covers {recipe.Vocabulary.MaxCovers})"))),
        };
    }

    private static MemberVocabulary Translated(
        EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, IReadOnlyList<IReadOnlyList<ILanguageModel>> passes, int pivot, int pivotPlace)
    {
        var tokenizers = members.Select((_, k) => TokenizerOf(recipe, members, k)).ToList();
        var map = SharedMap.Build(recipe.Vocabulary.Mode, tokenizers, pivot);
        var (places, own, reports) = (new List<ILanguageModel>(), new List<int[]>(), new List<(string Name, TranslatedModel Translation)>());
        for (var k = 0; k < members.Count; k++)
            foreach (var model in passes[k])
            {
                var made = TranslatedModel.Create(model, tokenizers[k], map.Shared, map.Sources[k], k == pivot ? tokenizers[k].VocabularySize : 0);
                places.Add(made.Model);
                own.Add(map.Own[k]);
                reports.Add((recipe.Members[k].Model.ToString(), made.Translation));
            }

        var isOwn = map.Sources[pivot].Length == tokenizers[pivot].VocabularySize;
        ITextEncoder encoder = isOwn ? members[pivot].Encoder : new SharedEncoder(tokenizers[pivot], map.Shared);
        return new MemberVocabulary(
            Once(places, passes), map.Sources[pivot].Length, pivotPlace, encoder, isOwn ? members[pivot].TokenizerId : $"{recipe.Vocabulary.Mode} of {string.Join(" ", members.Select(member => member.TokenizerId))}",
            isOwn ? tokenizers[pivot] : null, members[pivot].Folder)
        {
            Own = own,
            Remarks = () => recipe.Vocabulary.Mode != "intersection" ? [] : reports.Select(report => Problem.Note(string.Create(
                CultureInfo.InvariantCulture, $"'{report.Name}' keeps {report.Translation.KeptMass:P2} of its probability on the shared tokens"))),
        };
    }

    /// <summary>A model that stands in several places is translated once, so that it is run once.</summary>
    private static List<ILanguageModel> Once(List<ILanguageModel> places, IReadOnlyList<IReadOnlyList<ILanguageModel>> passes)
    {
        List<ILanguageModel> models = [.. passes.SelectMany(one => one)];
        return [.. models.Select(model => places[models.IndexOf(model)])];
    }

    private static Tokenizer TokenizerOf(EnsembleRecipe recipe, IReadOnlyList<OpenedModel> members, int k) => members[k].Tokenizer
        ?? throw new InputException([Problem.Error($"'{recipe.Members[k].Model}' has no tokenizer of its own (it is an ensemble over several vocabularies); it cannot be translated again", recipe.Members[k].Location)]);
}
