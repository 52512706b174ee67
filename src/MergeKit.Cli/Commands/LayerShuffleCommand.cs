using System.CommandLine;
using System.Globalization;
using System.Text;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit layer-shuffle -m MODEL WEIGHT ... RECIPE</c>: a recipe that takes each layer from one of several models by lot.</summary>
internal static class LayerShuffleCommand
{
    private static readonly Argument<string> Output = new("RECIPE") { Description = "The recipe to write." };
    private static readonly Option<string[]> Models = new("--model", "-m") { Description = "A model, with its share of layers behind a comma: MODEL or MODEL,WEIGHT.", Required = true, HelpName = "MODEL,WEIGHT" };
    private static readonly Option<bool> Full = new("--full-random") { Description = "Draw the layer's number too, not only the model." };

    public static Command Create()
    {
        var command = new Command("layer-shuffle", "Write a passthrough recipe that takes each layer from one of several models at random.") { Output, Models, Full, CommonOptions.Seed };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var models = parsed.GetValue(Models)!.Select(Parse).ToList();
        var counts = models.ConvertAll(model => Layers(CommonOptions.ResolveModel(parsed, model.Model)));
        if (counts.Distinct().Count() > 1)
            throw new InputException($"the models have different numbers of layers: {string.Join(", ", models.Zip(counts).Select(pair => $"{pair.First.Model} {pair.Second}"))}");
        var random = new CounterRandom(parsed.GetValue(CommonOptions.Seed), "layer-shuffle", 0);
        var words = new uint[2 * counts[0]];
        random.Fill(0, words);
        var total = models.Sum(model => model.Weight);
        var yaml = new StringBuilder("merge_method: passthrough\nslices:\n");
        for (var layer = 0; layer < counts[0]; layer++)
        {
            var (draw, choice) = (words[2 * layer] / 4294967296.0 * total, 0);
            for (; choice < models.Count - 1 && draw >= models[choice].Weight; choice++)
                draw -= models[choice].Weight;
            var source = parsed.GetValue(Full) ? (int)(words[2 * layer + 1] / 4294967296.0 * counts[0]) : layer;
            yaml.Append(CultureInfo.InvariantCulture, $"  - sources:\n      - model: {System.Text.Json.JsonSerializer.Serialize(models[choice].Model)}\n        layer_range: [{source}, {source + 1}]\n");
        }

        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Output)!);
        if (Path.Exists(path))
            throw new InputException($"{path}: exists already; name another file, or remove it first");
        OutputFolder.WriteFile(path, yaml.ToString());
        parsed.InvocationConfiguration.Output.WriteLine($"{path}: {counts[0]} layers of {models.Count} models");
        return ExitCodes.Done;
    }

    private static (string Model, double Weight) Parse(string text)
    {
        var at = text.LastIndexOf(',');
        if (at < 0)
            return (text, 1);
        return double.TryParse(text[(at + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out var weight) && weight > 0 && double.IsFinite(weight) && at > 0
            ? (text[..at], weight)
            : throw new InputException($"--model '{text}': MODEL,WEIGHT with a weight above 0 is wanted");
    }

    private static int Layers(string model)
    {
        using var input = ModelInput.Open(model);
        var key = LoadedModel.CountKeys.FirstOrDefault(key => input.Config!.Json[key] is not null) ?? throw new InputException($"{input.Source}: its configuration does not state the number of layers");
        return checked((int)input.Config!.RequireInt(key));
    }
}
