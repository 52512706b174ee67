using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization;

/// <summary>Which tokens begin, end and pad sequences: the keys <c>bos_token</c> and so on of <c>tokenizer_config.json</c>, else of
/// <c>special_tokens_map.json</c>; a string, or an object with its <c>content</c>.</summary>
internal sealed record RoleTokens(string? Bos, string? Eos, string? Pad, string? Unknown)
{
    /// <summary>Reads the files given, each as its name and text; earlier ones count first.</summary>
    public static RoleTokens Read(IEnumerable<(string File, string Json)> files)
    {
        var roles = new RoleTokens(null, null, null, null);
        foreach (var (file, json) in files)
        {
            using var document = JsonText.Parse(file, json);
            var scope = new JsonScope(file, "$", document.RootElement);
            roles = new RoleTokens(roles.Bos ?? Token(scope.Get("bos_token")), roles.Eos ?? Token(scope.Get("eos_token")),
                roles.Pad ?? Token(scope.Get("pad_token")), roles.Unknown ?? Token(scope.Get("unk_token")));
        }

        return roles;
    }

    private static string? Token(JsonScope scope) =>
        scope.Element.ValueKind == JsonValueKind.Object ? scope.Get("content").OptionalString() : scope.OptionalString();
}
