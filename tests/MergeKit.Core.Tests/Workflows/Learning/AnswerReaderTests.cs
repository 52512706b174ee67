using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tests.Evaluation;
using MergeKit.Core.Workflows.Learning;

namespace MergeKit.Core.Tests.Workflows.Learning;

/// <summary>Examples from files: templates, kinds of data, and what is wrong with them.</summary>
public sealed class AnswerReaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string File(string name, string content)
    {
        System.IO.File.WriteAllText(_folder.Join(name), content);
        return _folder.Join(name);
    }

    [Fact]
    public void Templates_make_prompt_and_answer_of_a_line()
    {
        var path = File("a.jsonl", """{"q": "2+2", "a": 4}""" + "\n" + """{"q": "3+3", "a": 6}""" + "\n" + """{"q": "x", "a": 0}""");
        Assert.Equal([("2+2=", " 4"), ("3+3=", " 6")], AnswerReader.ReadTexts(new ExampleSource(path, "{{q}}=", " {{a}}", 2)));
    }

    [Fact]
    public void Only_answers_are_positions_and_each_belongs_to_its_example()
    {
        var path = File("a.jsonl", """{"prompt": "ab", "answer": "cd"}""" + "\n" + """{"prompt": "x", "answer": "yz!"}""");
        var answers = AnswerReader.Read(new ExampleSource(path), new CharacterEncoder(), 64);
        Assert.Equal([0, 0, 1, 1, 1], answers.Clusters);
        Assert.Equal("cdyz!".Select(CharacterEncoder.Id), answers.Gold);
        Assert.Equal(3, answers.Requests[0].Context.Length); // BOS, a, b
        Assert.Equal(2, answers.Examples);
    }

    [Fact]
    public void Choices_give_the_right_one_and_texts_their_windows()
    {
        var choices = File("b.jsonl", """{"context": "c", "choices": ["x", "y"], "gold": 1, "delimiter": "-"}""");
        Assert.Equal([("c", "-y")], AnswerReader.ReadTexts(new ExampleSource(choices)));
        var text = File("c.txt", new string('a', 25));
        var answers = AnswerReader.Read(new ExampleSource(text), new CharacterEncoder(), 11);
        Assert.Equal([10, 10, 5], answers.Requests.Select(request => request.Continuation.Length));
        Assert.Equal(3, answers.Examples);
    }

    [Theory]
    [InlineData("{\"q\": 1}\n{\"r\": 2}", "{{q}}", "{{q}}", "a.jsonl:2:", "'prompt'")]
    [InlineData("{\"q\": 1}", "{{q", "x", "'prompt'", "1")]
    [InlineData("{\"q\": 1}", "{{q}}", "", "a.jsonl: example 1", "no token")]
    [InlineData("not json", "{{q}}", "x", "a.jsonl:1: not valid JSON", "")]
    [InlineData("\n", "{{q}}", "x", "no examples", "")]
    public void What_is_wrong_is_named(string content, string prompt, string target, string first, string second)
    {
        var source = new ExampleSource(File("a.jsonl", content), prompt, target);
        var message = Assert.Throws<InputException>(() => AnswerReader.Read(source, new CharacterEncoder(), 64)).Message;
        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
    }
}
