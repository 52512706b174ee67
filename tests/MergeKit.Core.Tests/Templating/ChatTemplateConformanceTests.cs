using System.Text.Json;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Tests.Templating;

/// <summary>Every chat template of the engine suite, every case: the exact text, or the template's own refusal.</summary>
[Trait("Suite", "engine")]
public sealed class ChatTemplateConformanceTests
{
    private static readonly string Folder = Path.Combine(Repository.Fixtures, "conformance", "engine", "chat_templates");

    public static TheoryData<string, string> Cases()
    {
        var data = new TheoryData<string, string>();
        foreach (var template in Directory.EnumerateDirectories(Folder).Order(StringComparer.Ordinal))
            foreach (var test in Read(template).GetProperty("cases").EnumerateArray())
                data.Add(Path.GetFileName(template), test.GetProperty("name").GetString()!);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Renders_as_the_reference(string template, string name)
    {
        var folder = Path.Combine(Folder, template);
        var test = Read(folder).GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("name").GetString() == name);
        var chat = ChatTemplate.Load(folder);
        Assert.NotNull(chat);
        string Render() => chat.Render(
            test.GetProperty("messages"), test.GetProperty("tools"), test.GetProperty("add_generation_prompt").GetBoolean(),
            test.GetProperty("variables").EnumerateObject().Select(pair => KeyValuePair.Create(pair.Name, (object?)pair.Value)));

        if (test.TryGetProperty("error", out var error))
        {
            var failure = Assert.Throws<TemplateException>(Render);
            Assert.True(failure.Raised);
            Assert.Equal(error.GetString(), failure.Reason);
        }
        else
        {
            Assert.Equal(test.GetProperty("rendered").GetString(), Render());
        }
    }

    private static JsonElement Read(string folder) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json"))).RootElement;
}
