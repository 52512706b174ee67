using System.Diagnostics;
using System.Text;
using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>Files made to break the reader: each is refused in words, at once, or read.</summary>
public class HostileRecipeTests
{
    /// <summary>Texts and a part of what is said of them.</summary>
    public static TheoryData<string, string, string> Bombs()
    {
        var lols = new StringBuilder("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        var chain = new StringBuilder("a0: &a0 [x]\n");
        var merges = new StringBuilder("a0: &a0 {k: 1}\n");
        for (var i = 1; i < 100; i++)
        {
            if (i < 12)
                lols.Append($"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 9))}]\n");
            chain.Append($"a{i}: &a{i} [*a{i - 1}]\n");
            merges.Append($"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n");
        }

        return new()
        {
            { "nine to the twelfth", lols.ToString(), "values once its aliases are written out" },
            { "nesting by aliases", chain.ToString(), "nested more than 64 levels" },
            { "merge keys", merges.ToString(), "once its aliases are written out" },
            { "flow nesting", new string('[', 1_000_000), "nested more than 64 levels" },
            { "flow mappings", string.Concat(Enumerable.Repeat("{a: ", 100_000)), "nested more than 64 levels" },
            { "block nesting", string.Concat(Enumerable.Repeat("- ", 100_000)), "nested more than 64 levels" },
            { "complex keys", string.Concat(Enumerable.Repeat("? ", 100_000)), "YAML" },
            { "many values", string.Concat(Enumerable.Repeat("- 1\n", 500_000)), "more than 100000 values" },
            { "many documents", string.Concat(Enumerable.Repeat("--- 1\n", 100_000)), "more than 100 YAML documents" },
            { "many empty documents", string.Concat(Enumerable.Repeat("---\n", 100_000)), "more than 100 YAML documents" },
            { "size", new string('#', 5 << 20), "larger than 4 MB" },
            { "many keys", string.Concat(Enumerable.Range(0, 40_000).Select(i => $"key{i}: {i}\n")), "unknown key 'key0'" },
            { "one long key", "? " + new string('k', 3 << 20) + "\n: 1\n", "unknown key|YAML" },
            { "one long number", $"merge_method: linear\nmodels: [{{model: a}}]\nparameters: {{x: {new string('9', 1 << 20)}}}", "finite" },
            { "anchors", string.Concat(Enumerable.Range(0, 60_000).Select(i => $"- &a{i} x\n")), "more than 100000 values|must be a mapping" },
        };
    }

    [Theory]
    [MemberData(nameof(Bombs))]
    public void AreRefusedAtOnce(string what, string yaml, string says)
    {
        var clock = Stopwatch.StartNew();
        var error = Assert.Throws<InputException>(() => RecipeReader.Parse("r.yml", yaml));
        Assert.Matches(says, error.Message);
        Assert.True(error.Message.Length < 50_000, $"{what}: the message has {error.Message.Length} characters");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"{what}: took {clock.Elapsed}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void MutatedRecipesAreReadOrRefused(ulong seed)
    {
        var originals = Originals();
        var (read, refused) = (0, 0);
        var random = new Splitmix(seed);
        for (var round = 0; round < 3000; round++)
        {
            var text = new StringBuilder(originals[random.Below(originals.Count)]);
            for (var edits = 1 + random.Below(3); edits > 0; edits--)
                Mutate(text, random, originals);
            try
            {
                var recipes = RecipeReader.Parse("r.yml", text.ToString());
                Assert.All(recipes, recipe => Assert.NotEmpty(recipe.AllModels()));
                read++;
            }
            catch (InputException error)
            {
                Assert.NotEmpty(error.Problems);
                refused++;
            }
        }

        Assert.True(read > 100 && refused > 100, $"{read} read, {refused} refused: the mutations are too strong or too weak");
    }

    private static List<string> Originals()
    {
        var suite = Path.Combine(Repository.Fixtures, "conformance", "merge");
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(suite, "manifest.json")));
        return [.. manifest.RootElement.GetProperty("cases").EnumerateArray()
            .Where(entry => entry.TryGetProperty("recipe", out var recipe) && recipe.ValueKind == JsonValueKind.String)
            .Select(entry => File.ReadAllText(Path.Combine(suite, entry.GetProperty("recipe").GetString()!)))];
    }

    private static void Mutate(StringBuilder text, Splitmix random, List<string> others)
    {
        const string Special = "[]{}:,-?&*!|>'\"%@`#\n\t \0\u0007\u2028\uD800~<=.0eE_é";
        var at = random.Below(text.Length + 1);
        switch (random.Below(6))
        {
            case 0 when at < text.Length:
                text.Remove(at, Math.Min(1 + random.Below(5), text.Length - at));
                break;
            case 1:
                text.Insert(at, Special[random.Below(Special.Length)]);
                break;
            case 2 when at < text.Length:
                text[at] = (char)(32 + random.Below(95));
                break;
            case 3:
                var other = others[random.Below(others.Count)];
                var from = random.Below(other.Length);
                text.Insert(at, other.AsSpan(from, Math.Min(random.Below(60), other.Length - from)));
                break;
            case 4:
                string[] words = ["&a ", "*a", "<<: *a\n", "!!int ", "!x ", "---\n", "...\n", "null", ".nan", "- ", "? ", "|\n", ">-\n", "%YAML 1.1\n", "&a [*a]", "yes", "1e400"];
                text.Insert(at, words[random.Below(words.Length)]);
                break;
            default:
                var lines = text.ToString().Split('\n').ToList();
                lines.Insert(random.Below(lines.Count + 1), lines[random.Below(lines.Count)]);
                text.Clear().AppendJoin('\n', lines);
                break;
        }
    }

    /// <summary>A small generator with a fixed sequence (SplitMix64).</summary>
    private sealed class Splitmix(ulong seed)
    {
        private ulong _state = seed;

        public int Below(int limit)
        {
            var z = _state += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return (int)((z ^ (z >> 31)) % (ulong)limit);
        }
    }
}
