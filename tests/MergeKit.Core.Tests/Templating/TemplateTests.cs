using System.Text.Json;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Tests.Templating;

/// <summary>The engine against texts that Jinja2 itself rendered (jinja_cases.json), its errors and its bounds.</summary>
public sealed class TemplateTests
{
    private static readonly JsonElement File = JsonDocument.Parse(System.IO.File.ReadAllText(
        Path.Combine(Repository.Root, "tests", "MergeKit.Core.Tests", "Templating", "jinja_cases.json"))).RootElement;

    public static TheoryData<int, string> Cases()
    {
        var data = new TheoryData<int, string>();
        foreach (var (index, test) in File.GetProperty("cases").EnumerateArray().Index())
            foreach (var mode in test.GetProperty("modes").EnumerateArray())
                data.Add(index, mode.GetString()!);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Renders_as_Jinja2(int index, string mode)
    {
        var test = File.GetProperty("cases")[index];
        var options = mode == "chat" ? TemplateOptions.Chat : TemplateOptions.Prompt;
        string Render() => Template.Parse(test.GetProperty("template").GetString()!, options with { Clock = () => new DateTime(2024, 3, 7, 9, 5, 3) })
            .Render(File.GetProperty("variables").EnumerateObject().Select(pair => KeyValuePair.Create(pair.Name, (object?)pair.Value)));
        if (test.TryGetProperty("rendered", out var rendered))
            Assert.Equal(rendered.GetString(), Render());
        else
            Assert.Throws<TemplateException>(Render);
    }

    [Theory]
    [InlineData("a\n{{ x | uper }}", 2, "no filter named 'uper'. Did you mean 'upper'?")]
    [InlineData("{{ x is definned }}", 1, "no test named 'definned'. Did you mean 'defined'?")]
    [InlineData("\n\n{% include 'x' %}", 3, "the tag 'include' is not supported in this kind of template")]
    [InlineData("{% import 'x' as y %}", 1, "the tag 'import' is not supported in this kind of template")]
    [InlineData("{% extends 'x' %}", 1, "the tag 'extends' is not supported in this kind of template")]
    [InlineData("{% fro x in y %}", 1, "unknown tag 'fro'. Did you mean 'for'?")]
    [InlineData("x\n{% if true %}\n\n", 2, "the tag opened here is not closed: expected 'elif' or 'else' or 'endif'")]
    [InlineData("a\n{{ none.x.y }}", 2, "'None' has no attribute 'x'")]
    [InlineData("{{ a\n + b }}", 2, "'a' is undefined")]
    [InlineData("{{ [].append(1) }}", 1, "'append' would change a list; values are immutable here")]
    [InlineData("{{ 1 +", 1, "missing end of tag '}}'")]
    public void Names_what_is_wrong_and_where(string source, int line, string reason)
    {
        var failure = Assert.Throws<TemplateException>(() => Template.Parse(source, TemplateOptions.Chat with { Name = "t.jinja" }).Render([]));
        Assert.Equal((line, reason, false), (failure.Line, failure.Reason, failure.Raised));
        Assert.Equal($"t.jinja:{line}: {reason}", failure.Message);
    }

    [Fact]
    public void An_unknown_filter_in_a_branch_not_taken_is_no_error() =>
        Assert.Equal("ok", Template.Parse("{% if false %}{{ x | nothing }}{% endif %}ok", TemplateOptions.Chat).Render([]));

    [Theory]
    [InlineData("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")]
    [InlineData("{{ 2 ** 2000000 }}")]
    [InlineData("{{ 'a' * 10 ** 10 }}")]
    [InlineData("{{ 'a' | center(10 ** 12) }}")]
    [InlineData("{{ range(10 ** 15) | list }}")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    [InlineData("{% set ns = namespace(s='abcdefgh') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}")]
    [InlineData("{% for i in range(90000) %}{{ 'abcdefgh' * 100 }}{% endfor %}")]
    public void Bounds_stop_hostile_templates(string source) =>
        Assert.Throws<TemplateException>(() => Template.Parse(source, TemplateOptions.Chat with { MaxSteps = 1_000_000, MaxOutput = 1 << 20 }).Render([]));

    [Theory]
    [InlineData("{{ ", "(", "1", ")", " }}")]
    [InlineData("", "{% if 1 %}", "", "{% endif %}", "")]
    [InlineData("{{ ", "-", "1", "", " }}")]
    [InlineData("{{ 1", "+1", "", "", " }}")]
    public void Deep_nesting_is_an_error_not_a_crash(string before, string open, string middle, string close, string after)
    {
        var source = before + string.Concat(Enumerable.Repeat(open, 200_000)) + middle + string.Concat(Enumerable.Repeat(close, 200_000)) + after;
        Assert.Throws<TemplateException>(() => Template.Parse(source, TemplateOptions.Chat).Render([]));
    }
}
