using MergeKit.Core.Recipes;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Tests.Templating;

/// <summary>The chat templates that go by a name write what their models were trained on.</summary>
public class KnownTemplatesTests
{
    private static readonly object[] Messages =
    [
        new Dictionary<string, object?> { ["role"] = "system", ["content"] = "Be brief." },
        new Dictionary<string, object?> { ["role"] = "user", ["content"] = "Hi" },
        new Dictionary<string, object?> { ["role"] = "assistant", ["content"] = "Hello" },
        new Dictionary<string, object?> { ["role"] = "user", ["content"] = "Bye" },
    ];

    public static TheoryData<string, string> Formats => new()
    {
        { "chatml", "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n" },
        { "llama3", "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            + "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" },
        { "mistral", "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]" },
        { "alpaca", "Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n### Instruction:\nBye\n\n### Response:\n" },
        { "exaone", "[|system|]Be brief.[|endofturn|]\n[|user|]Hi\n[|assistant|]Hello[|endofturn|]\n[|user|]Bye\n[|assistant|]" },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void They_write_the_format(string name, string expected)
    {
        var variables = new Dictionary<string, object?> { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };
        Assert.Equal(expected, ChatTemplate.Parse(KnownTemplates.Get(name)).Render(Messages, variables: variables));
    }

    [Fact]
    public void Recipes_know_exactly_these_names()
    {
        Assert.Equal(ChatTemplateSpec.KnownNames, KnownTemplates.Names);
        Assert.Equal(Formats.Select(row => row.Data.Item1).Order(StringComparer.Ordinal), KnownTemplates.Names);
    }
}
