using System.Text.RegularExpressions;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Models;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Every fast path against its slow twin.</summary>
public sealed class FastPathTests
{
    [Theory]
    [InlineData(KnownSplits.Gpt2)]
    [InlineData(KnownSplits.Llama3)]
    [InlineData(KnownSplits.Qwen2)]
    public void Hand_written_splitters_equal_the_expression_they_stand_for(string expression)
    {
        var fast = KnownSplits.Find(expression)!;
        var slow = RegexPattern.Parse(expression, "test");
        var texts = new TestText(1);
        for (var i = 0; i < 5000; i++)
        {
            var text = texts.Next();
            Assert.Equal(All(slow, text), All(fast, text));
        }
    }

    [Theory]
    [InlineData(KnownSplits.Gpt2)]
    [InlineData(KnownSplits.Qwen2)]
    [InlineData(@"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}{1,3}|(?<=a)\s|\s*[\r\n]+|\s+(?!\S)|\s+")]
    [InlineData(@"(a|th|the)*?e|\p{L}+?(?!\p{L})|[^\p{L}\s]{2,}|(?>\s+)$|(\d)\2")]
    public void The_expression_matcher_equals_the_framework_within_the_basic_plane(string expression)
    {
        var ours = RegexPattern.Parse(expression, "test");
        var theirs = new Regex(expression.Replace("$", "(?=\\n|\\z)", StringComparison.Ordinal), RegexOptions.CultureInvariant);
        var texts = new TestText(2);
        for (var i = 0; i < 3000; i++)
        {
            // U+017F, join controls and Latin-1 fractions are where the two differ on purpose.
            var text = string.Concat(texts.Next().Where(c =>
                !char.IsSurrogate(c) && c is not ('\u017F' or '\u200D' or '\u200C' or '\u00BD' or '\u2167')
                && char.GetUnicodeCategory(c) is not (System.Globalization.UnicodeCategory.OtherNumber or System.Globalization.UnicodeCategory.LetterNumber)));
            Assert.Equal(theirs.Matches(text).Select(m => (m.Index, m.Index + m.Length)), All(ours, text));
        }
    }

    [Fact]
    public void Merging_by_heap_equals_merging_by_scan()
    {
        var random = new TestText(3);
        for (var round = 0; round < 300; round++)
        {
            // Tokens are texts, so that equal ids are equal texts, as in every vocabulary.
            var tokens = new List<string> { "a", "b", "c", "d" };
            var merges = new MergeTable(64);
            for (var rank = 0; rank < 40; rank++)
            {
                var (left, right) = (random.Below(tokens.Count), random.Below(tokens.Count));
                var joined = tokens[left] + tokens[right];
                if (!tokens.Contains(joined))
                    tokens.Add(joined);
                merges.Set(left, right, rank, tokens.IndexOf(joined));
            }

            var row = Enumerable.Range(0, random.Below(120)).Select(_ => random.Below(4)).ToArray();
            var (scan, heap) = ((int[])row.Clone(), (int[])row.Clone());
            var (scanned, heaped) = (BytePairMerger.MergeByScan(scan, merges), BytePairMerger.MergeByHeap(heap, merges));
            Assert.Equal(scan[..scanned], heap[..heaped]);
        }
    }

    [Fact]
    public void A_text_cut_at_its_metaspaces_gives_the_tokens_of_the_whole_text()
    {
        var vocabulary = new Vocabulary("\u2581 a b th e".Split(' ').Concat(["t", "h", "\u2581\u2581", "\u2581a", "ab", "\u2581ab",
            "the", "\u2581the"])
            .Distinct().Select((token, id) => KeyValuePair.Create(token, id)));
        int Id(string token) => vocabulary.Find(token)!.Value;
        (string, string)[] pairs = [("t", "h"), ("\u2581", "\u2581"), ("\u2581", "a"), ("a", "b"), ("\u2581a", "b"),
            ("\u2581", "ab"), ("th", "e"), ("\u2581", "the")];
        var merges = new MergeTable(16);
        for (var rank = 0; rank < pairs.Length; rank++)
            merges.Set(Id(pairs[rank].Item1), Id(pairs[rank].Item2), rank, Id(pairs[rank].Item1 + pairs[rank].Item2));
        var cut = new WordEncoder(new BytePairModel(vocabulary, merges, new BytePairOptions(), joints: true, "test"), byteLevel: false);
        var whole = new WordEncoder(new BytePairModel(vocabulary, merges, new BytePairOptions(), joints: false, "test"), byteLevel: false);
        var random = new TestText(4);
        for (var i = 0; i < 500; i++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Below(40)).Select(_ => "\u2581\u2581abthe"[random.Below(7)]));
            Assert.Equal(Ids(whole, text), Ids(cut, text));
        }
    }

    [Fact]
    public void Cached_words_give_the_tokens_of_uncached_ones()
    {
        var file = TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(("t", "h"), ("th", "e"), ("\u0120", "the"), ("a", "n"),
            ("\u00C3", "\u00A9")));
        var tokenizer = Tokenizer.Parse("test", file);
        var texts = new TestText(5);
        for (var i = 0; i < 2000; i++)
        {
            var text = texts.Next();
            var fresh = tokenizer.EncodeWithTokens(text).Ids;
            Assert.Equal(fresh, tokenizer.Encode(text));
            Assert.Equal(fresh, tokenizer.Encode(text));
        }
    }

    [Fact]
    public async Task Threads_encode_at_once()
    {
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(("t", "h"), ("th", "e"))));
        var texts = Enumerable.Range(0, 200).Select(i => new TestText((ulong)i + 10).Next(60)).ToArray();
        var wanted = texts.Select(text => tokenizer.EncodeWithTokens(text).Ids).ToArray();
        var runs = Enumerable.Range(0, 8).Select(_ => Task.Run(() => texts.Select(text => tokenizer.Encode(text)).ToArray())).ToArray();
        foreach (var run in await Task.WhenAll(runs))
            for (var i = 0; i < texts.Length; i++)
                Assert.Equal(wanted[i], run[i]);
    }

    private static int[] Ids(WordEncoder encoder, string text)
    {
        var list = new TokenList();
        encoder.Encode(text, list);
        return list.Ids.ToArray();
    }

    private static List<(int, int)> All(Pattern pattern, string text)
    {
        var found = new List<(int, int)>();
        var matches = pattern.Matches(text);
        while (matches.MoveNext())
            found.Add(matches.Current);
        return found;
    }
}
