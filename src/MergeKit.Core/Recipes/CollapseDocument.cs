using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>One routed expert in a collapse.</summary>
/// <param name="Index">Its number, counted from 0.</param>
/// <param name="Parameters">Its parameters.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record CollapsedExpert(int Index, Parameters Parameters, SourceLocation Location);

/// <summary>What a document with <c>collapse:</c> adds to a recipe: a mixture whose experts are the models of the merge.</summary>
/// <param name="Mixture">The mixture of experts.</param>
/// <param name="Experts">The experts to merge; empty: all.</param>
/// <param name="SharedScale">Factor on the shared expert; null: 1, or 0.5 where the mixture has a gate on it.</param>
public sealed record CollapseSettings(ModelReference Mixture, IReadOnlyList<CollapsedExpert> Experts, double? SharedScale);

/// <summary>Reads documents with <c>collapse:</c>: the way back from a mixture of experts to a dense model.</summary>
internal static class CollapseDocument
{
    private static readonly KeyTable ExpertTable = new("collapsedExpert", "an expert of a collapse",
    [
        new("expert", KeyType.Index, "The expert's number, counted from 0.", Required: true),
        new("parameters", KeyType.Parameters, "Parameters of this expert."),
    ]);

    /// <summary>The keys of a collapse document.</summary>
    public static KeyTable Table { get; } = new("collapse", "a collapse document",
    [
        new("collapse", KeyType.Model, "The mixture of experts.", Required: true),
        new("merge_method", KeyType.Method, "How the experts of each layer are merged.", Required: true),
        new("experts", KeyType.List, "The experts to merge; left out: all of them.", Table: ExpertTable),
        new("base_model", KeyType.Model, "A dense model of the result's shape, for methods that work on differences."),
        new("parameters", KeyType.Parameters, "Parameters for the whole merge."),
        new("shared_scale", KeyType.Number, "Factor on the shared expert, which is kept beside the merged one; left out: 1, or 0.5 where a gate stands on it."),
        new("dtype", KeyType.DType, "Every tensor is converted to this type when it is read."),
        new("out_dtype", KeyType.DType, "The type of the written tensors."),
        new("name", KeyType.Text, "The result's name, by which other documents of this file may use it as a model."),
    ]);

    /// <summary>All tables of the document, for the schema and for hints.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Table, ExpertTable];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("collapse", "a collapse document", Read);

    private static Recipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, Table, problems) is not { } fields)
            return null;
        var experts = fields.List("experts").Select(node => Expert(node, problems)).OfType<CollapsedExpert>().ToList();
        foreach (var twice in experts.GroupBy(expert => expert.Index).Where(group => group.Count() > 1))
            problems.Error($"expert {twice.Key} is listed {twice.Count()} times; list it once, with the weight it should have", twice.Last().Location);
        var (mixture, name) = (ModelReader.Read(fields, "collapse"), MergeDocument.Name(fields));
        var recipe = new Recipe(
            file, name, fields.Text("merge_method") ?? "", fields["merge_method"]?.Location ?? fields.Location, ModelReader.Read(fields, "base_model"),
            [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice([], null, Parameters.Empty, fields.Location)], Parameters.Empty)],
            ParameterReader.Read(fields), fields.ElementType("dtype"), fields.ElementType("out_dtype"), null, null, document.Text, RecipeForm.Models)
        {
            Location = name is null ? fields.Location : fields["name"]!.Location,
            Collapse = new CollapseSettings(mixture!, experts, fields.Number("shared_scale")),
        };
        return problems.Errors == before ? recipe : null;
    }

    private static CollapsedExpert? Expert(YamlNode node, ProblemList problems) =>
        Fields.Open(node, ExpertTable, problems) is { } fields && fields.Integer("expert", 0) is { } index
            ? new CollapsedExpert(index, ParameterReader.Read(fields), fields.Location)
            : null;
}
