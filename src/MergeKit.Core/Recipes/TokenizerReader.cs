using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads <c>tokenizer:</c>, <c>tokenizer_source:</c> and <c>chat_template:</c>.</summary>
internal static class TokenizerReader
{
    /// <summary>How early recipes mark a model: <c>model:PATH</c>.</summary>
    private const string OldModel = "model:";

    /// <summary>The tokenizer setting of a recipe, from whichever of its two keys is given.</summary>
    public static TokenizerSpec? Read(Fields recipe)
    {
        if (recipe["tokenizer"] is { } node)
        {
            if (recipe["tokenizer_source"] is not null)
                recipe.Problems.Error("'tokenizer' and 'tokenizer_source' cannot be given together; write the source as tokenizer: {source: ...}", recipe.PlaceOf("tokenizer_source"));
            return Fields.Open(node, RecipeKeys.Tokenizer, recipe.Problems) is { } fields ? FromFields(fields) : null;
        }

        return Source(recipe, "tokenizer_source") is { } source
            ? new TokenizerSpec(source.Kind, source.Model, [], null, recipe["tokenizer_source"]!.Location)
            : null;
    }

    /// <summary>The chat template setting of a recipe.</summary>
    public static ChatTemplateSpec? ReadChatTemplate(Fields recipe)
    {
        if (recipe["chat_template"] is not { } node || recipe.Text("chat_template") is not { } text)
            return null;
        if (text == "auto")
            return new ChatTemplateSpec(ChatTemplateKind.Auto, text, node.Location);
        if (ChatTemplateSpec.KnownNames.Contains(text))
            return new ChatTemplateSpec(ChatTemplateKind.Named, text, node.Location);
        if (text.Length >= ChatTemplateSpec.ShortestTemplate && text.Contains('{', StringComparison.Ordinal))
            return new ChatTemplateSpec(ChatTemplateKind.Jinja, text, node.Location);
        string[] names = ["auto", .. ChatTemplateSpec.KnownNames];
        var hint = text.Length <= ChatTemplateSpec.ShortestTemplate ? Spelling.Hint(text, names) : "";
        recipe.Problems.Error(
            $"'chat_template' is '{Quoting.Shorten(text)}'; wanted one of {string.Join(", ", names)}, or a Jinja text of at least {ChatTemplateSpec.ShortestTemplate} characters with a brace.{hint}",
            node.Location);
        return null;
    }

    private static TokenizerSpec FromFields(Fields fields)
    {
        var source = fields["source"] is null ? (TokenizerSourceKind.Union, null) : Source(fields, "source") ?? (TokenizerSourceKind.Union, null);
        var rules = fields.Map("tokens").Select(entry => Rule(entry, fields.Problems)).OfType<TokenRule>().ToList();
        return new TokenizerSpec(source.Item1, source.Item2, rules, fields.Integer("pad_to_multiple_of", 1), fields.Location);
    }

    private static (TokenizerSourceKind Kind, ModelReference? Model)? Source(Fields fields, string key) => fields[key] switch
    {
        null => null,
        YamlScalar { Text: "union" } => (TokenizerSourceKind.Union, null),
        YamlScalar { Text: "base" } => (TokenizerSourceKind.Base, null),
        YamlScalar { Text: var text } scalar when text.StartsWith(OldModel, StringComparison.Ordinal) =>
            ModelReader.Parse(text[OldModel.Length..], scalar.Location, $"'{key}'", fields.Problems) is { } old ? (TokenizerSourceKind.Model, old) : null,
        _ => ModelReader.Read(fields, key) is { } model ? (TokenizerSourceKind.Model, model) : null,
    };

    private static TokenRule? Rule(YamlEntry entry, ProblemList problems)
    {
        if (entry.Value.IsNull)
            return new TokenRule(entry.Key.Text, null, false, entry.Key.Location);
        if (Fields.Open(entry.Value, RecipeKeys.TokenRule, problems) is not { } fields)
            return null;
        var source = fields["source"] is { } node ? RowSource(node, problems) : null;
        return new TokenRule(entry.Key.Text, source, fields.Boolean("force") ?? false, entry.Key.Location);
    }

    private static TokenSource? RowSource(YamlNode node, ProblemList problems)
    {
        if (node is not YamlMapping mapping)
            return ModelReader.Read(node, "'source'", problems) is { } model ? new TokenSource(TokenSourceKind.Model, model, null, null, node.Location) : null;
        if (Fields.Open(mapping, RecipeKeys.TokenSource, problems) is not { } fields)
            return null;
        switch (fields["kind"] is null ? null : fields.Text("kind"))
        {
            case null when fields["kind"] is null:
                RefuseOthers(fields, "the source has no 'kind'", ["token", "token_id"]);
                if (fields["model"] is null)
                    problems.Error("a token's source needs a 'kind' (model_token or zero) or a 'model'", node.Location);
                return ModelReader.FromFields(fields) is { } model ? new TokenSource(TokenSourceKind.Model, model, null, null, node.Location) : null;
            case "zero":
                RefuseOthers(fields, "'kind' is zero", ["model", "token", "token_id", "lora", "override_architecture"]);
                return new TokenSource(TokenSourceKind.Zero, null, null, null, node.Location);
            case "model_token":
                return TokenOfModel(fields);
            case { } kind:
                problems.Error($"'kind' is '{Quoting.Shorten(kind)}'; wanted model_token or zero", fields["kind"]!.Location);
                return null;
            default:
                return null;
        }
    }

    private static TokenSource? TokenOfModel(Fields fields)
    {
        RefuseOthers(fields, "'kind' is model_token", ["lora", "override_architecture"]);
        var model = ModelReader.Read(fields, "model");
        if (fields["model"] is null)
            fields.Problems.Error("'model' is missing in a token's source of kind model_token", fields.Location);
        if (fields["token"] is null == fields["token_id"] is null)
            fields.Problems.Error("a token's source of kind model_token needs exactly one of 'token' and 'token_id'", fields.Location);
        var token = fields.Text("token", allowBlank: true);
        var id = fields.Integer("token_id", 0);
        return model is not null && (token is not null || id is not null) ? new TokenSource(TokenSourceKind.ModelToken, model, token, id, fields.Location) : null;
    }

    private static void RefuseOthers(Fields fields, string reason, string[] keys)
    {
        foreach (var key in keys.Where(key => fields[key] is not null))
            fields.Problems.Error($"'{key}' has no meaning here, because {reason}", fields.PlaceOf(key));
    }
}
