using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads documents with <c>experts:</c>, in mergekit-moe's format with additions.</summary>
internal static class MoeDocument
{
    private static readonly Dictionary<string, GateMode> Modes = new(StringComparer.Ordinal)
    {
        ["hidden"] = GateMode.Hidden,
        ["hidden_last"] = GateMode.Hidden,
        ["hidden_avg"] = GateMode.HiddenAverage,
        ["cheap_embed"] = GateMode.CheapEmbed,
        ["random"] = GateMode.Random,
        ["uniform_random"] = GateMode.UniformRandom,
        ["calibrated"] = GateMode.Calibrated,
    };

    private static readonly Dictionary<string, GateInput> Inputs = new(StringComparer.Ordinal)
    {
        ["residual"] = GateInput.Residual,
        ["router"] = GateInput.Router,
    };

    private static readonly Dictionary<string, ExpertStorage> Layouts = new(StringComparer.Ordinal)
    {
        ["experts"] = ExpertStorage.Separate,
        ["packed"] = ExpertStorage.Packed,
    };

    private static readonly Dictionary<string, CalibrationLabels> LabelKinds = new(StringComparer.Ordinal)
    {
        ["domain"] = CalibrationLabels.Domain,
        ["likelihood"] = CalibrationLabels.Likelihood,
    };

    private static readonly KeyTable ExpertTable = new("expert", "an expert",
    [
        new("source_model", KeyType.Model, "The dense model whose feed-forward blocks are the expert.", Required: true),
        new("positive_prompts", KeyType.Texts, "Prompts that should be routed to this expert."),
        new("negative_prompts", KeyType.Texts, "Prompts that should not be routed to this expert."),
        new("residual_scale", KeyType.Number, "Factor on the expert's down projection."),
        new("noise_scale", KeyType.Number, "Standard deviation of normal noise added to the expert's matrices."),
        new("data", KeyType.Text, "Held-out text of the expert's domain: a UTF-8 text, or JSONL of texts."),
        new("copies", KeyType.Count, "How many experts this entry makes (sparse upcycling)."),
    ]);

    private static readonly KeyTable BackboneTable = new("backbone", "the backbone of a mixture",
    [
        new("merge_method", KeyType.Method, "How attention, norms, embeddings and dense layers are merged.", Required: true),
        new("models", KeyType.List, "The models to merge them of; left out: the experts' models.", Table: RecipeKeys.ModelEntry),
        new("parameters", KeyType.Parameters, "Parameters of the merge."),
    ]);

    private static readonly KeyTable CalibrationTable = new("calibration", "the calibration of gates",
    [
        new("target_entropy", KeyType.Number, "Mean entropy of the routing probabilities in nats; left out: half of ln experts."),
        new("labels", KeyType.Text, "Which expert a piece of text belongs to: domain (the one it is given for) or likelihood (the one that makes it most likely)."),
        new("ridge", KeyType.Number, "The ridge, as a share of the states' mean square."),
        new("tokens", KeyType.Count, "Most tokens that are run, of all experts' texts together."),
        new("window", KeyType.Count, "Tokens of one piece of text; left out: 512, or the model's context where that is shorter."),
    ]);

    /// <summary>The keys of a mixture-of-experts document.</summary>
    public static KeyTable Table { get; } = new("mixture", "a mixture-of-experts document",
    [
        new("base_model", KeyType.Model, "Gives configuration, tokenizer, attention, norms and embeddings, and the states that gates are made of.", Required: true),
        new("experts", KeyType.List, "The routed experts.", Required: true, ExpertTable),
        new("shared_experts", KeyType.List, "Experts that every token visits.", Table: ExpertTable),
        new("gate_mode", KeyType.Text, $"How routers are made: {string.Join(", ", Modes.Keys)}."),
        new("gate_input", KeyType.Text, "What gates are made of: residual (the layer's input, as mergekit) or router (the router's own input)."),
        new("experts_per_token", KeyType.Count, "Experts that each token visits; 2 if left out."),
        new("architecture", KeyType.Text, "The output format: mixtral, deepseek, qwen or qwen3, or the beginning of its name."),
        new("layout", KeyType.Text, "How experts are stored: experts (a tensor per matrix) or packed (two tensors per layer)."),
        new("layer_range", KeyType.LayerRange, "The layers [a, b) that become mixtures; the others stay dense."),
        new("backbone", KeyType.Mapping, "Merges what is no expert's, instead of copying it from the base.", Table: BackboneTable),
        new("calibration", KeyType.Mapping, "Settings of gate_mode: calibrated.", Table: CalibrationTable),
        new("dtype", KeyType.DType, "The type of the result; left out: the base's."),
        new("name", KeyType.Text, "The result's name, by which other documents of this file may use it as a model."),
    ]);

    /// <summary>All tables of the document, for the schema and for hints.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Table, ExpertTable, BackboneTable, CalibrationTable];

    /// <summary>The kinds of document that this file reads: a mixture is known by either key.</summary>
    public static IReadOnlyList<DocumentKind> Kinds { get; } =
        [new("experts", "a mixture-of-experts document", Read), new("shared_experts", "a mixture-of-experts document", Read)];

    private static Recipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, Table, problems) is not { } fields)
            return null;
        var reference = ModelReader.Read(fields, "base_model");
        var experts = Experts(fields, "experts");
        var backbone = fields["backbone"] is { } node ? Fields.Open(node, BackboneTable, problems) : null;
        var moe = new MoeSettings(
            reference!, experts, Experts(fields, "shared_experts"), Choice(fields, "gate_mode", Modes) ?? GateMode.Hidden,
            Choice(fields, "gate_input", Inputs), fields.Integer("experts_per_token", 1) ?? 2, fields.Text("architecture"),
            Choice(fields, "layout", Layouts) ?? ExpertStorage.Separate, MergeDocument.Range(fields), Calibration(fields), backbone is not null);
        if (problems.Errors == before)
            MoeChecks.Check(moe, fields, problems);
        if (problems.Errors > before)
            return null;
        var name = MergeDocument.Name(fields);
        var sources = backbone is null ? [new RecipeSource(reference!, null, Parameters.Empty, reference!.Location)] : Sources(backbone, experts, problems);
        var recipe = new Recipe(
            file, name, backbone?.Text("merge_method") ?? "passthrough", backbone?["merge_method"]?.Location ?? fields.Location, reference,
            [new RecipeModule(RecipeModule.DefaultName, [new RecipeSlice(sources, null, Parameters.Empty, fields.Location)], Parameters.Empty)],
            backbone is null ? Parameters.Empty : ParameterReader.Read(backbone), fields.ElementType("dtype"), null, null, null, document.Text, RecipeForm.Models)
        {
            Location = name is null ? fields.Location : fields["name"]!.Location,
            Moe = moe,
        };
        return problems.Errors == before ? recipe : null;
    }

    private static IReadOnlyList<RecipeSource> Sources(Fields backbone, IReadOnlyList<ExpertSpec> experts, ProblemList problems) =>
        backbone["models"] is null
            ? [.. experts.Select(expert => expert.Model).Distinct().Select(model => new RecipeSource(model, null, Parameters.Empty, model.Location))]
            : [.. backbone.List("models").Select(node => MergeDocument.Source(node, RecipeKeys.ModelEntry, problems)).OfType<RecipeSource>()];

    private static IReadOnlyList<ExpertSpec> Experts(Fields fields, string key) =>
        [.. fields.List(key).Select(node => Expert(node, fields.Problems)).OfType<ExpertSpec>()];

    private static ExpertSpec? Expert(YamlNode node, ProblemList problems) =>
        Fields.Open(node, ExpertTable, problems) is { } fields && ModelReader.Read(fields, "source_model") is { } model
            ? new ExpertSpec(
                model, fields.Texts("positive_prompts"), fields.Texts("negative_prompts"), fields.Number("residual_scale"), fields.Number("noise_scale"),
                fields.Text("data"), fields.Integer("copies", 1) ?? 1, fields.Location)
            : null;

    private static CalibrationSettings Calibration(Fields owner)
    {
        var settings = new CalibrationSettings();
        if (owner["calibration"] is not { } node || Fields.Open(node, CalibrationTable, owner.Problems) is not { } fields)
            return settings;
        var ridge = fields.Number("ridge") ?? settings.Ridge;
        if (ridge <= 0)
            fields.Problems.Error($"'ridge' is {ridge}; wanted a number above 0", fields["ridge"]!.Location);
        return settings with
        {
            TargetEntropy = fields.Number("target_entropy"),
            Labels = Choice(fields, "labels", LabelKinds) ?? settings.Labels,
            Ridge = ridge,
            Tokens = fields.Integer("tokens", 1) ?? settings.Tokens,
            Window = fields.Integer("window", 2),
        };
    }

    private static T? Choice<T>(Fields fields, string key, Dictionary<string, T> known) where T : struct
    {
        if (fields.Text(key) is not { } text)
            return null;
        if (known.TryGetValue(text, out var value))
            return value;
        fields.Problems.Error($"'{key}' is '{Quoting.Shorten(text)}'.{Spelling.Hint(text, known.Keys)} Known: {string.Join(", ", known.Keys)}", fields[key]!.Location);
        return null;
    }
}
