using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Workflows;

/// <summary>Bootstrap resamples of training items, one per member of an ensemble (bagging, Breiman 1996): as many draws with replacement as there are items, a pure
/// function of seed and bag. Some 37 % of the items are in no draw of a bag; on these, out of its bag, a member can be judged fairly.</summary>
/// <param name="Seed">Decides the draws, together with the number of the bag.</param>
/// <param name="Items">Items of the training data, at least 1.</param>
public sealed record Bagging(int Seed, int Items)
{
    /// <summary>The drawn items of a bag, counted from 0, in the order of the draws.</summary>
    public int[] Draw(int bag)
    {
        var words = new uint[Items];
        new CounterRandom((ulong)Seed, "bag", bag).Fill(0, words);
        return Array.ConvertAll(words, word => (int)(((ulong)word * (ulong)Items) >> 32));
    }

    /// <summary>Per item whether the member of a bag was trained on it.</summary>
    public bool[] Seen(int bag)
    {
        var seen = new bool[Items];
        foreach (var item in Draw(bag))
            seen[item] = true;
        return seen;
    }

    /// <summary>Writes a folder with <c>bag-0.jsonl</c> and so on, the drawn lines, and <c>bags.json</c>: data, seed, items, and per bag its file, the drawn items and
    /// those out of it. It appears whole or not at all. Returns per bag how many items are out of it.</summary>
    /// <param name="data">JSON lines, one item a line.</param>
    /// <param name="seed">Decides the draws.</param>
    /// <param name="bags">How many bags, 1 to 1000.</param>
    /// <param name="folder">Must not exist or be empty.</param>
    /// <exception cref="InputException">The data are no JSON lines, or the number of bags is outside its range.</exception>
    public static IReadOnlyList<int> Write(string data, int seed, int bags, string folder)
    {
        if (bags is < 1 or > 1000)
            throw new InputException($"{bags} bags; wanted 1 to 1000");
        var lines = ReadLines(data);
        var bagging = new Bagging(seed, lines.Count);
        using var output = OutputFolder.Prepare(folder);
        var (list, outside) = (new JsonArray(), new List<int>());
        for (var bag = 0; bag < bags; bag++)
        {
            var (drawn, seen) = (bagging.Draw(bag), bagging.Seen(bag));
            int[] left = [.. Enumerable.Range(0, lines.Count).Where(item => !seen[item])];
            output.WriteText($"bag-{bag}.jsonl", string.Concat(drawn.Select(item => lines[item] + "\n")));
            list.Add(new JsonObject { ["file"] = $"bag-{bag}.jsonl", ["drawn"] = Numbers(drawn), ["out_of_bag"] = Numbers(left) });
            outside.Add(left.Length);
        }

        output.WriteText("bags.json", new JsonObject { ["data"] = Path.GetFileName(data), ["seed"] = seed, ["items"] = lines.Count, ["bags"] = list }.ToJsonString() + "\n");
        output.Publish();
        return outside;
    }

    private static JsonArray Numbers(IEnumerable<int> values) => [.. values.Select(value => JsonValue.Create(value))];

    private static List<string> ReadLines(string data)
    {
        var problems = new List<Problem>();
        var lines = JsonLines.Parse(data, JsonLines.ReadBytes(data), problems);
        if (problems.Count > 0)
            throw new InputException(problems);
        return lines.Count > 0 ? lines.ConvertAll(line => line.Value.GetRawText()) : throw new InputException($"{data}: no items to draw from");
    }
}

/// <summary>Which members of an ensemble were trained on which resample of a file.</summary>
/// <param name="Data">The file's full path.</param>
/// <param name="Seed">Seed of the draws.</param>
/// <param name="Bags">Per member the number of its bag; null for one that was trained on other data.</param>
public sealed record MemberBags(string Data, int Seed, IReadOnlyList<int?> Bags)
{
    /// <summary>Per item the members that were not trained on it.</summary>
    public IReadOnlyList<int[]> Fair(int items)
    {
        var bagging = new Bagging(Seed, items);
        bool[]?[] seen = [.. Bags.Select(bag => bag is { } number ? bagging.Seen(number) : null)];
        return [.. Enumerable.Range(0, items).Select(item => Enumerable.Range(0, seen.Length).Where(member => seen[member] is not { } own || !own[item]).ToArray())];
    }
}
