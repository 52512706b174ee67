using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Tests.Templating;

/// <summary>Where a chat template is found, and what it sees.</summary>
public sealed class ChatTemplateTests : IDisposable
{
    private static readonly object[] Messages = [new Dictionary<string, object?> { ["role"] = "user", ["content"] = "hi" }];
    private readonly string _folder = Directory.CreateTempSubdirectory("mergekit-chat").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_jinja_file_wins_over_the_configuration()
    {
        Write("chat_template.jinja", "file {{ bos_token }} {{ messages[0].content }}\n");
        Write("tokenizer_config.json", """{"chat_template": "config", "bos_token": {"content": "<s>", "lstrip": false}}""");
        Assert.Equal("file <s> hi", ChatTemplate.Load(_folder)!.Render(Messages));
    }

    [Fact]
    public void A_list_of_templates_is_chosen_by_name_and_by_tools()
    {
        Write("tokenizer_config.json",
            """{"eos_token": "</s>", "chat_template": [{"name": "default", "template": "plain{{ eos_token }}"}, {"name": "tool_use", "template": "{{ tools | length }} tools"}]}""");
        var chat = ChatTemplate.Load(_folder)!;
        Assert.Equal("plain</s>", chat.Render(Messages));
        Assert.Equal("plain</s>", chat.Render(Messages, JsonDocument.Parse("null").RootElement));
        Assert.Equal("2 tools", chat.Render(Messages, new[] { "a", "b" }));
        Assert.Equal("plain</s>", chat.Render(Messages, new[] { "a", "b" }, name: "default"));
        Assert.Contains("default, tool_use", Assert.Throws<InputException>(() => chat.Render(Messages, name: "rag")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Variables_win_over_special_tokens()
    {
        Write("tokenizer_config.json", """{"bos_token": "<s>", "chat_template": "{{ bos_token }}{{ extra }}"}""");
        Assert.Equal("[x]1", ChatTemplate.Load(_folder)!.Render(Messages, variables: new Dictionary<string, object?> { ["bos_token"] = "[x]", ["extra"] = 1 }));
    }

    [Fact]
    public void A_model_without_a_template_has_none()
    {
        Assert.Null(ChatTemplate.Load(_folder));
        Write("tokenizer_config.json", """{"chat_template": null}""");
        Assert.Null(ChatTemplate.Load(_folder));
    }

    [Theory]
    [InlineData("""{"chat_template": 5}""", "must be a text or a list")]
    [InlineData("""{"chat_template": [{"name": "x"}]}""", "must be a text or a list")]
    [InlineData("{", "not valid JSON")]
    public void Wrong_files_are_named(string config, string reason)
    {
        Write("tokenizer_config.json", config);
        var message = Assert.Throws<InputException>(() => ChatTemplate.Load(_folder)).Message;
        Assert.Contains("tokenizer_config.json", message, StringComparison.Ordinal);
        Assert.Contains(reason, message, StringComparison.Ordinal);
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);
}
