using System.Text.Json;
using System.Text.RegularExpressions;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>A chat template that the case expects must have been written, in a file of its own or in the tokenizer's configuration.
/// Its wording is free; the control tokens that it writes are not.</summary>
internal static class ChatTemplateCheck
{
    public static void Compare(string expectedFolder, string folder, List<string> findings)
    {
        if (Read(expectedFolder) is not { } expected)
            return;
        if (Read(folder) is not { } actual)
        {
            findings.Add("no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json");
            return;
        }

        foreach (var token in Regex.Matches(expected, @"<\|[^|>]+\|>").Select(match => match.Value).Distinct())
            if (!actual.Contains(token, StringComparison.Ordinal))
                findings.Add($"the chat template does not write '{token}'");
    }

    private static string? Read(string folder)
    {
        var file = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(file) && File.ReadAllText(file) is { Length: > 0 } text)
            return text;
        var config = Path.Combine(folder, "tokenizer_config.json");
        if (!File.Exists(config))
            return null;
        using var json = JsonDocument.Parse(File.ReadAllBytes(config));
        return json.RootElement.TryGetProperty("chat_template", out var template) && template.ValueKind == JsonValueKind.String
            ? template.GetString()
            : null;
    }
}
