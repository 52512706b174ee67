using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Workflows.Learning;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit learn RECIPE</c>: learns an ensemble's weights from examples and writes them back as a recipe.</summary>
internal static class LearnCommand
{
    private static readonly Argument<string> RecipeFile = new("RECIPE") { Description = "A recipe whose ensemble document has 'learn'." };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The recipe to write, with the learned weights in place of 'learn'.", HelpName = "FILE" };
    private static readonly Option<string> Document = new("--document") { Description = "The name of the document, where several have 'learn'.", HelpName = "NAME" };

    public static Command Create()
    {
        var command = new Command("learn", "Learn an ensemble's weights from 50 to 100 answers, and say what they are worth.")
        {
            RecipeFile, Out, Document, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(RecipeFile)!);
        var documents = RecipeReader.ReadDocuments(path);
        var recipe = Find(documents, path, parsed.GetValue(Document));
        var settings = recipe.Learn!;
        var data = DocumentOf.PathIn(recipe, settings.Data, parsed);
        AnswerReader.ReadTexts(new ExampleSource(data, settings.Prompt, settings.Target, settings.Examples)); // a slip in the data must not cost the loading of the models
        using var interrupt = new Interrupt();
        using var models = ModelSet.Open(recipe.AllModels(), new RecipeScope(path, documents), parsed, error, interrupt.Token);
        var learned = WeightLearning.Learn(recipe, [.. recipe.Members.Select(member => models[member.Model])], data);
        if (parsed.GetValue(Out) is { } target)
            OutputFolder.WriteFile(CommonOptions.Resolve(parsed, target), LearnedRecipe.Write(
                documents, recipe, learned.Weights, learned.Gate is { Kept: true } gate ? (gate.Weights, gate.Bias) : null, LearnReport.Remarks(learned, settings)));
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(LearnReport.Json(learned));
        else
            LearnReport.Print(learned, output);
        return ExitCodes.Done;
    }

    private static EnsembleRecipe Find(IReadOnlyList<IRecipeDocument> documents, string path, string? name)
    {
        EnsembleRecipe[] found = [.. documents.OfType<EnsembleRecipe>().Where(document => document.Learn is not null && (name is null || document.Name == name))];
        return found switch
        {
            [var one] => one,
            [] => throw new InputException($"{path}: no ensemble document{(name is null ? "" : $" '{name}'")} with 'learn', which says what to learn the weights from"),
            _ => throw new InputException([Problem.Error(
                $"{found.Length} documents have 'learn'; name one with --document: {string.Join(", ", found.Select(document => document.Name ?? "(unnamed)"))}", found[1].Location)]),
        };
    }
}
