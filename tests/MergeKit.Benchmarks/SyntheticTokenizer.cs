using System.Text.Json;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Benchmarks;

/// <summary>Makes a byte-level BPE for a text: the frequent words become tokens, letter by letter from the left unless
/// merges made before already join them; random pairs of tokens fill the vocabulary.</summary>
internal static class SyntheticTokenizer
{
    private const int MinCount = 4;

    /// <summary>The text of its tokenizer.json.</summary>
    public static string Json(string text, int size, string expression)
    {
        var vocabulary = Enumerable.Range(0, 256).ToDictionary(b => ByteAlphabet.Char((byte)b).ToString(), b => b, StringComparer.Ordinal);
        var merges = new List<(string Left, string Right)>();
        var ranks = new Dictionary<(string, string), int>();
        foreach (var word in FrequentWords(text))
            AddWord(word, vocabulary, merges, ranks, size);
        Fill(vocabulary, merges, size);
        return Write(vocabulary, merges, expression);
    }

    private static IEnumerable<string> FrequentWords(string text)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var matches = KnownSplits.Find(KnownSplits.Llama3)!.Matches(text);
        while (matches.MoveNext())
        {
            var word = ByteAlphabet.Encode(text.AsSpan(matches.Current.Start, matches.Current.End - matches.Current.Start));
            counts[word] = counts.GetValueOrDefault(word) + 1;
        }

        return counts.Where(entry => entry.Value >= MinCount).OrderByDescending(entry => entry.Value)
            .ThenBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => entry.Key);
    }

    private static void AddWord(string word, Dictionary<string, int> vocabulary, List<(string, string)> merges,
        Dictionary<(string, string), int> ranks, int size)
    {
        var row = word.Select(c => c.ToString()).ToList();
        while (row.Count > 1 && vocabulary.Count < size)
        {
            var best = Enumerable.Range(0, row.Count - 1).MinBy(i => ranks.GetValueOrDefault((row[i], row[i + 1]), int.MaxValue));
            var pair = (row[best], row[best + 1]);
            if (ranks.TryAdd(pair, merges.Count))
                merges.Add(pair);
            row[best] = pair.Item1 + pair.Item2;
            row.RemoveAt(best + 1);
            vocabulary.TryAdd(row[best], vocabulary.Count);
        }
    }

    private static void Fill(Dictionary<string, int> vocabulary, List<(string, string)> merges, int size)
    {
        var tokens = vocabulary.Keys.ToList();
        var state = 1UL;
        while (vocabulary.Count < size)
        {
            state = state * 6364136223846793005UL + 1442695040888963407UL;
            var (left, right) = (tokens[(int)((state >> 33) % (ulong)tokens.Count)], tokens[(int)((state >> 13) % (ulong)tokens.Count)]);
            if (left.Length + right.Length > 16 || !vocabulary.TryAdd(left + right, vocabulary.Count))
                continue;
            merges.Add((left, right));
        }
    }

    private static string Write(Dictionary<string, int> vocabulary, List<(string Left, string Right)> merges, string expression)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("version", "1.0");
            json.WritePropertyName("pre_tokenizer");
            json.WriteRawValue($$$"""
                {"type":"Sequence","pretokenizers":[
                  {"type":"Split","pattern":{"Regex":{{{JsonSerializer.Serialize(expression)}}}},"behavior":"Isolated","invert":false},
                  {"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}
                """);
            json.WritePropertyName("decoder");
            json.WriteRawValue("""{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}""");
            json.WritePropertyName("model");
            json.WriteStartObject();
            json.WriteString("type", "BPE");
            json.WriteBoolean("ignore_merges", true);
            json.WriteStartObject("vocab");
            foreach (var (token, id) in vocabulary)
                json.WriteNumber(token, id);
            json.WriteEndObject();
            json.WriteStartArray("merges");
            foreach (var (left, right) in merges)
                json.WriteStringValue($"{left} {right}");
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }
}
