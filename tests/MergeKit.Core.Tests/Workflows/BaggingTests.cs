using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Workflows;

namespace MergeKit.Core.Tests.Workflows;

public sealed class BaggingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Draws_depend_on_seed_and_bag_alone_and_are_uniform()
    {
        var bagging = new Bagging(3, 1000);
        Assert.Equal(bagging.Draw(1), new Bagging(3, 1000).Draw(1));
        Assert.NotEqual(bagging.Draw(1), bagging.Draw(2));
        Assert.NotEqual(bagging.Draw(1), new Bagging(4, 1000).Draw(1));
        var counts = new int[1000];
        for (var bag = 0; bag < 400; bag++)
        {
            var drawn = bagging.Draw(bag);
            Assert.Equal(1000, drawn.Length);
            foreach (var item in drawn)
                counts[item]++;
            Assert.InRange(bagging.Seen(bag).Count(seen => !seen), 310, 425);
        }

        // 400 draws are expected of each, with a standard deviation of 20; chi-square of 999 degrees has 45.
        Assert.InRange(counts.Sum(count => Math.Pow(count - 400, 2) / 400), 999 - (5 * 45), 999 + (5 * 45));
        Assert.Equal([0], new Bagging(0, 1).Draw(7));
    }

    [Fact]
    public void The_files_hold_the_drawn_lines_and_what_is_out_of_the_bag()
    {
        var data = _folder.Join("train.jsonl");
        File.WriteAllText(data, string.Concat(Enumerable.Range(0, 50).Select(i => $$"""{"prompt": "{{i}}", "answer": "é"}""" + (i % 7 == 0 ? "\n\n" : "\n"))));
        var outside = Bagging.Write(data, 5, 3, _folder.Join("bags"));
        var manifest = JsonDocument.Parse(File.ReadAllText(_folder.Join("bags/bags.json"))).RootElement;
        Assert.Equal((50, 5, 3), (manifest.GetProperty("items").GetInt32(), manifest.GetProperty("seed").GetInt32(), manifest.GetProperty("bags").GetArrayLength()));
        foreach (var (number, bag) in manifest.GetProperty("bags").EnumerateArray().Index())
        {
            int[] Of(string key) => [.. bag.GetProperty(key).EnumerateArray().Select(value => value.GetInt32())];
            var lines = File.ReadAllLines(_folder.Join($"bags/{bag.GetProperty("file").GetString()}"));
            Assert.Equal(Of("drawn"), lines.Select(line => int.Parse(JsonDocument.Parse(line).RootElement.GetProperty("prompt").GetString()!)));
            Assert.Equal(new Bagging(5, 50).Draw(number), Of("drawn"));
            Assert.Equal(Enumerable.Range(0, 50).Except(Of("drawn")), Of("out_of_bag"));
            Assert.Equal(outside[number], Of("out_of_bag").Length);
        }
    }

    [Theory]
    [InlineData("[1]\n", 2, "JSON object")]
    [InlineData("", 2, "no items")]
    [InlineData("{\"a\": 1}\n", 0, "1 to 1000")]
    [InlineData("{\"a\": 1}\n", 1001, "1 to 1000")]
    public void Bad_data_write_nothing(string text, int bags, string message)
    {
        var data = _folder.Join("train.jsonl");
        File.WriteAllText(data, text);
        Assert.Contains(message, Assert.Throws<InputException>(() => Bagging.Write(data, 0, bags, _folder.Join("out"))).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.Join("out")));
    }

    [Fact]
    public void A_fair_judge_was_not_trained_on_the_item()
    {
        var (bagging, fair) = (new Bagging(2, 40), new MemberBags("d", 2, [0, null, 1]).Fair(40));
        for (var item = 0; item < 40; item++)
            Assert.Equal((int[])[.. bagging.Seen(0)[item] ? Array.Empty<int>() : [0], 1, .. bagging.Seen(1)[item] ? Array.Empty<int>() : [2]], fair[item]);
    }
}
