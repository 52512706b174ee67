using System.Text;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Reading evaluation data, good and bad.</summary>
public sealed class DataSetReaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("mergekit-data").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Kinds_are_told_by_the_first_line()
    {
        var text = (TextDataSet)Read("a.jsonl", "{\"text\": \"one\"}\r\n\n{\"text\": \"\", \"more\": 1}\n");
        Assert.Equal(["one", ""], text.Documents);
        Assert.False(text.IsPlainText);
        var choice = (ChoiceDataSet)Read("b.jsonl", """{"context": "c", "choices": ["x", "y"], "gold": "y"}""" + "\n" + """{"context": "", "choices": ["x", "y"], "gold": [0, 1], "delimiter": ""}""");
        Assert.Equal([1], choice.Items[0].Gold);
        Assert.Equal((" ", ""), (choice.Items[0].Delimiter, choice.Items[1].Delimiter));
        Assert.Equal([0, 1], choice.Items[1].Gold);
        var exact = (ExactDataSet)Read("c.jsonl", """{"prompt": "1+1=", "answer": "2"}""");
        Assert.Equal(new ExactQuestion("1+1=", "2"), exact.Items[0]);
        var plain = (TextDataSet)Read("d.txt", "line\r\nä\n");
        Assert.True(plain.IsPlainText);
        Assert.Equal("line\r\nä\n", plain.Documents[0]);
        Assert.EndsWith("/d", plain.Name, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"text\": \"a\"}\n{\"text\": 5}\nnot json\n[1]\n", "x.jsonl:2:", "x.jsonl:3: not valid JSON", "x.jsonl:4: a JSON object")]
    [InlineData("{\"foo\": 1, \"bar\": 2}", "x.jsonl:1: unknown kind of item with the keys foo, bar", "text", "prompt")]
    [InlineData("{\"context\": \"a\", \"choices\": [\"b\"], \"gold\": 1}", "x.jsonl:1: 'gold' must be an index below 1", "", "")]
    [InlineData("{\"context\": \"a\", \"choices\": [], \"gold\": 0}", "x.jsonl:1: 'choices' must be", "", "")]
    [InlineData("{\"context\": \"a\", \"choices\": [\"b\"]}", "x.jsonl:1: the key 'gold' is missing", "", "")]
    [InlineData("{\"text\": \"\\ud800\"}", "x.jsonl:1:", "surrogate", "")]
    [InlineData("\n\n", "no items", "", "")]
    public void Wrong_lines_are_all_named(string content, string first, string second, string third)
    {
        var message = Assert.Throws<InputException>(() => Read("x.jsonl", content)).Message;
        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
        Assert.Contains(third, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_utf8_is_named_with_its_line()
    {
        byte[] bytes = [.. "{\"text\": \"a\"}\n{\"text\": \""u8, 0xFF, .. "\"}\n"u8];
        File.WriteAllBytes(Path.Combine(_folder, "x.jsonl"), bytes);
        Assert.Contains("x.jsonl:2: not valid UTF-8", Assert.Throws<InputException>(() => DataSetReader.Read(Path.Combine(_folder, "x.jsonl"))).Message, StringComparison.Ordinal);
        File.WriteAllBytes(Path.Combine(_folder, "x.txt"), [.. "ab\ncd"u8, 0xC3, 0x28]);
        Assert.Contains("x.txt:2: not valid UTF-8", Assert.Throws<InputException>(() => DataSetReader.Read(Path.Combine(_folder, "x.txt"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_and_empty_files_are_named()
    {
        Assert.Contains("no such file", Assert.Throws<InputException>(() => DataSetReader.Read(Path.Combine(_folder, "none.txt"))).Message, StringComparison.Ordinal);
        Assert.Contains("empty", Assert.Throws<InputException>(() => Read("e.txt", "")).Message, StringComparison.Ordinal);
    }

    private DataSet Read(string name, string content)
    {
        File.WriteAllText(Path.Combine(_folder, name), content, new UTF8Encoding(false));
        return DataSetReader.Read(Path.Combine(_folder, name));
    }
}
