using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads documents with <c>ensemble:</c>.</summary>
internal static class EnsembleDocument
{
    private static readonly string[] DropoutKeys = ["passes", "seed"];

    private const int DefaultPasses = 8, DefaultTopK = 10, DefaultCovers = 16;

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("ensemble", "an ensemble document", Read);

    private static EnsembleRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, EnsembleKeys.Document, problems) is not { } fields)
            return null;
        var rule = fields.Choice("ensemble") is { } name ? EnsembleRules.Find(name) : null;
        var members = fields.List("models").Select(node => Member(node, problems)).OfType<EnsembleMember>().ToList();
        var origin = ModelReader.Read(fields, "base_model");
        var (parameters, variant) = Parameters(fields, rule);
        var vocabulary = Vocabulary(fields);
        var (gate, context) = (Gate(fields), fields.Text("context"));
        var learn = LearnReader.Read(fields, "learn");
        var (execution, type, bagging) = (Execution(fields), ElementType(fields), Bagging(fields));
        if (rule is null || problems.Errors > before)
            return null;
        var placed = EnsembleChecks.Place(rule, members, origin, fields);
        EnsembleChecks.Check(rule, placed, fields, gate is not null || (learn is not null && rule.Name == "gated"), context is not null);
        EnsembleChecks.CheckPivot(vocabulary, placed, problems);
        EnsembleChecks.CheckBags(bagging, learn, placed, fields);
        var recipe = new EnsembleRecipe(
            file, fields.Text("name"), rule, placed, parameters, vocabulary, gate, context, document.Text,
            fields["name"]?.Location ?? fields.Location)
        { Variant = variant, Learn = learn, Execution = execution, Type = type, Bagging = bagging };
        return problems.Errors == before ? recipe : null;
    }

    private static EnsembleMember? Member(YamlNode node, ProblemList problems)
    {
        if (Fields.Open(node, EnsembleKeys.Member, problems) is not { } fields)
            return null;
        var weight = fields["parameters"] is { } parameters ? Fields.Open(parameters, EnsembleKeys.MemberParameters, problems)?.Number("weight") : null;
        var model = ModelReader.Read(fields, "model");
        var (role, bag) = (fields.Choice("role"), fields.Integer("bag", 0));
        return Dropout(fields) is var dropout && model is not null ? new EnsembleMember(model, weight, role, dropout, fields.Location) { Bag = bag } : null;
    }

    private static DropoutSpec? Dropout(Fields fields)
    {
        var (rate, passes, seed) = (fields.Number("dropout"), fields.Integer("passes", 1), fields.Integer("seed", 0));
        if (fields["dropout"] is null)
        {
            foreach (var key in DropoutKeys.Where(key => fields[key] is not null))
                fields.Problems.Error($"'{key}' goes with 'dropout', which is not given", fields.PlaceOf(key));
            return null;
        }

        if (rate is { } given && given is not (> 0 and < 1))
            fields.Problems.Error($"'dropout' is {given}; wanted a share above 0 and below 1", fields["dropout"]!.Location);
        return rate is { } value ? new DropoutSpec(value, passes ?? DefaultPasses, seed ?? 0) : null;
    }

    private static (Dictionary<string, double> Numbers, string? Variant) Parameters(Fields owner, EnsembleRule? rule)
    {
        var numbers = new Dictionary<string, double>(StringComparer.Ordinal);
        if (owner["parameters"] is not { } node || Fields.Open(node, EnsembleKeys.Parameters, owner.Problems) is not { } fields)
            return (numbers, null);
        foreach (var key in EnsembleKeys.Parameters.Keys.Where(key => fields[key.Name] is not null))
        {
            if (key.Name != "leader_threshold" && rule is not null && !rule.Parameters.Contains(key.Name))
                owner.Problems.Error(
                    $"the rule '{rule.Name}' has no parameter '{key.Name}'; it has {string.Join(", ", rule.Parameters.Append("leader_threshold"))}", fields.PlaceOf(key.Name));
            else if (key.Type == KeyType.Number && fields.Number(key.Name) is { } number)
                numbers[key.Name] = number;
            else if (key.Type == KeyType.Count && fields.Integer(key.Name, 1) is { } count)
                numbers[key.Name] = count;
        }

        var variant = fields.Choice("variant");
        CheckVariant(rule, variant, fields);
        return (numbers, variant);
    }

    private static void CheckVariant(EnsembleRule? rule, string? variant, Fields fields)
    {
        if (variant is not null && rule is { Variants.Count: > 0 } && !rule.Variants.Contains(variant))
            fields.Problems.Error($"'{rule.Name}' has no variant '{variant}'; it has {string.Join(" and ", rule.Variants)}", fields.PlaceOf("variant"));
        var (other, wanted) = variant == "greedy" ? ("tau", "softmax") : ("steps", "greedy");
        if (rule?.Name == "perplexity" && fields[other] is not null)
            fields.Problems.Error($"'{other}' goes with 'variant: {wanted}'", fields.PlaceOf(other));
    }

    private static EnsembleVocabulary Vocabulary(Fields owner)
    {
        var plain = new EnsembleVocabulary("identical", null, DefaultTopK, DefaultCovers, owner.Location);
        if (owner["vocabulary"] is not { } node || Fields.Open(node, EnsembleKeys.Vocabulary, owner.Problems) is not { } fields)
            return plain;
        return new EnsembleVocabulary(
            fields.Choice("mode") ?? plain.Mode, fields.Text("pivot"), fields.Integer("top_k", 1) ?? DefaultTopK,
            fields.Integer("max_covers", 1) ?? DefaultCovers, fields["pivot"]?.Location ?? fields.Location);
    }

    private static EnsembleExecution Execution(Fields owner) =>
        owner["execution"] is { } node && Fields.Open(node, EnsembleKeys.Execution, owner.Problems) is { } fields && fields.Choice("members") is { } members
            ? new EnsembleExecution(members, fields.PlaceOf("members")) : new EnsembleExecution("auto", null);

    private static BaggingSpec? Bagging(Fields owner) =>
        owner["bagging"] is { } node && Fields.Open(node, EnsembleKeys.Bagging, owner.Problems) is { } fields && fields.Text("data") is { } data
            ? new BaggingSpec(data, fields.Integer("seed", 0) ?? 0, fields.Location) : null;

    private static DType? ElementType(Fields fields)
    {
        var type = fields.ElementType("dtype");
        if (type is null or DType.F32 or DType.BF16 or DType.F16)
            return type;
        fields.Problems.Error($"'dtype' is {fields.Text("dtype")}: members run in float32, bfloat16 or float16", fields.PlaceOf("dtype"));
        return null;
    }

    private static GateSpec? Gate(Fields owner)
    {
        if (owner["gate"] is not { } node || Fields.Open(node, EnsembleKeys.Gate, owner.Problems) is not { } fields)
            return null;
        var rows = fields.List("weights").Select(row => fields.Numbers(row, "a row of 'weights'")).ToList();
        return new GateSpec(rows, fields["bias"] is { } bias ? fields.Numbers(bias, "'bias'") : []);
    }
}
