using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace MergeKit.Core.Recipes;

/// <summary>Writes learned weights into an ensemble's document: the weights stand at their models, <c>learn</c> is gone, all else stays but its comments.</summary>
public static class LearnedRecipe
{
    /// <summary>The whole file with the document changed; other documents keep their text.</summary>
    /// <param name="documents">The file's documents.</param>
    /// <param name="changed">The one that was learned.</param>
    /// <param name="weights">One per entry of <c>models</c>.</param>
    /// <param name="gate">W and b of a gate, which then take the place of the weights; null: none, and what was to be gated becomes linear.</param>
    /// <param name="remarks">Lines of comment to put before the document.</param>
    public static string Write(
        IReadOnlyList<IRecipeDocument> documents, IRecipeDocument changed, IReadOnlyList<double> weights, (double[][] Weights, double[] Bias)? gate, IEnumerable<string> remarks) =>
        string.Join("---\n", documents.Select(document => document == changed
            ? string.Concat(remarks.Select(remark => $"# {remark}\n")) + Changed(document.Yaml, weights, gate)
            : document.Yaml.TrimEnd() + "\n"));

    private static string Changed(string text, IReadOnlyList<double> weights, (double[][] Weights, double[] Bias)? gate)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        var root = (YamlMappingNode)stream.Documents[0].RootNode;
        root.Children.Remove(new YamlScalarNode("learn"));
        if (gate is null && root.Children[new YamlScalarNode("ensemble")] is YamlScalarNode { Value: "gated" })
            Set(root, "ensemble", new YamlScalarNode("linear"));
        if (gate is { } learned)
        {
            Set(root, "gate", new YamlMappingNode
            {
                { "weights", Flow([.. learned.Weights.Select(row => (YamlNode)Flow([.. row.Select(Number)]))]) },
                { "bias", Flow([.. learned.Bias.Select(Number)]) },
            });
        }

        foreach (var (entry, weight) in ((YamlSequenceNode)root.Children[new YamlScalarNode("models")]).Zip(weights))
        {
            var parameters = Parameters((YamlMappingNode)entry);
            parameters.Children.Remove(new YamlScalarNode("weight"));
            if (gate is null)
                Set(parameters, "weight", Number(weight));
            else if (parameters.Children.Count == 0)
                ((YamlMappingNode)entry).Children.Remove(new YamlScalarNode("parameters"));
        }

        using var writer = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        stream.Save(writer, assignAnchors: false);
        var written = writer.ToString().ReplaceLineEndings("\n");
        return written.EndsWith("...\n", StringComparison.Ordinal) ? written[..^4] : written;
    }

    /// <summary>The mapping under <c>parameters</c>, made where there is none.</summary>
    private static YamlMappingNode Parameters(YamlMappingNode owner)
    {
        if (owner.Children.TryGetValue(new YamlScalarNode("parameters"), out var found) && found is YamlMappingNode mapping)
            return mapping;
        var made = new YamlMappingNode();
        Set(owner, "parameters", made);
        return made;
    }

    private static void Set(YamlMappingNode mapping, string key, YamlNode value) => mapping.Children[new YamlScalarNode(key)] = value;

    private static YamlSequenceNode Flow(IEnumerable<YamlNode> items) => new(items) { Style = YamlDotNet.Core.Events.SequenceStyle.Flow };

    /// <summary>Nine significant digits; a fraction always, so that every reader takes it for a number.</summary>
    private static YamlNode Number(double value)
    {
        var text = value.ToString("G9", CultureInfo.InvariantCulture);
        if (text.Contains('E', StringComparison.Ordinal))
            text = value.ToString("F12", CultureInfo.InvariantCulture).TrimEnd('0') + "0";
        return new YamlScalarNode(text.Contains('.', StringComparison.Ordinal) ? text : text + ".0") { Style = ScalarStyle.Plain };
    }
}
