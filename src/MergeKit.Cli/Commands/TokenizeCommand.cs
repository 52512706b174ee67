using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Tokenization;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit tokenize MODEL</c>: text to ids and back.</summary>
internal static class TokenizeCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "A model folder or a tokenizer.json." };
    private static readonly Option<string> Text = new("--text", "-t") { Description = "The text.", HelpName = "TEXT" };
    private static readonly Option<string> FileName = new("--file", "-f") { Description = "A UTF-8 file with the text.", HelpName = "FILE" };
    private static readonly Option<int[]> Decode = new("--decode") { Description = "Ids to turn into text.", HelpName = "ID", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<bool> NoSpecial = new("--no-special") { Description = "Add no special tokens; leave them out when decoding." };

    public static Command Create()
    {
        var command = new Command("tokenize", "Turn text into token ids, or ids into text.") { Model, Text, FileName, Decode, NoSpecial, CommonOptions.Json };
        command.SetAction(Execute);
        return command;
    }

    /// <summary>A .gguf file has its tokenizer within.</summary>
    private static string Place(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) && File.Exists(path)
        ? ModelInput.TokenizerFolder(path) ?? throw new InputException($"{path}: has no tokenizer in it, nor a tokenizer.json beside it")
        : path;

    private static int Execute(ParseResult parsed)
    {
        var output = parsed.InvocationConfiguration.Output;
        var tokenizer = Tokenizer.Load(Place(CommonOptions.Resolve(parsed, parsed.GetValue(Model)!)));
        if (parsed.GetValue(Decode) is { Length: > 0 } ids)
        {
            if (ids.FirstOrDefault(id => tokenizer.IdToToken(id) is null, -1) is >= 0 and var unknown)
                throw new InputException($"{tokenizer.File}: has no token with id {unknown}; ids go up to {tokenizer.VocabularySize - 1}");
            output.WriteLine(tokenizer.Decode(ids, parsed.GetValue(NoSpecial)));
            return ExitCodes.Done;
        }

        var encoding = tokenizer.EncodeWithTokens(ModelOptions.Text(parsed, Text, FileName), !parsed.GetValue(NoSpecial));
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(new JsonObject
            {
                ["ids"] = new JsonArray([.. encoding.Ids.Select(id => JsonValue.Create(id))]),
                ["tokens"] = new JsonArray([.. encoding.Tokens.Select(token => JsonValue.Create(token))]),
            }.ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
        else
            foreach (var (id, token) in encoding.Ids.Zip(encoding.Tokens))
                output.WriteLine($"{id,8}  {token.ReplaceLineEndings("\\n")}");
        return ExitCodes.Done;
    }
}
