using System.Text;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Vocabularies;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>The law of the next byte against an enumeration of every sequence of tokens.</summary>
public sealed class ByteCoversTests
{
    private static readonly string[] Tokens = ["a", "b", "ab", "ba", "aab", "abba", ""];
    private const int End = 6;

    /// <summary>A law that depends on the whole sequence.</summary>
    private static ReadOnlyMemory<double> Next(IReadOnlyList<int> ids)
    {
        var hash = ids.Aggregate(17.0, (sum, id) => (sum * 1.7) + id) % 10;
        return Enumerable.Range(0, Tokens.Length).Select(id => Math.Sin((hash * 3) + (id * 2.1)) * 2).ToArray();
    }

    private static double LogProb(IReadOnlyList<int> before, int id)
    {
        var row = Next(before);
        return row.Span[id] - RowMath.LogSumExp(row.Span);
    }

    /// <summary>P(bytes are a prefix of the text), by going through all sequences of tokens that spell at least them.</summary>
    private static double Prefix(string text, List<int> ids, int done)
    {
        if (done >= text.Length)
            return 1;
        var sum = 0.0;
        for (var id = 0; id < End; id++)
        {
            var rest = text[done..];
            if (!rest.StartsWith(Tokens[id], StringComparison.Ordinal) && !Tokens[id].StartsWith(rest, StringComparison.Ordinal))
                continue;
            var probability = Math.Exp(LogProb(ids, id));
            sum += probability * Prefix(text, [.. ids, id], done + Tokens[id].Length);
        }

        return sum;
    }

    private static ByteCovers<double> Covers(int most) => new(new TokenBytesIndex([.. Tokens.Select(Encoding.UTF8.GetBytes)]), Next, most, End);

    [Theory]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("ab")]
    [InlineData("abba")]
    [InlineData("aababba")]
    [InlineData("babaabab")]
    public void Sums_over_all_ways_to_cut_the_text(string text)
    {
        var covers = Covers(10_000);
        foreach (var letter in text)
            covers.Append((byte)letter);
        var law = new double[257];
        covers.NextLogProbs(law);
        var before = Prefix(text, [], 0);
        foreach (var letter in "ab")
            Assert.Equal(Prefix(text + letter, [], 0) / before, Math.Exp(law[letter]), 1e-12);
        Assert.Equal(1, law.Sum(Math.Exp), 1e-12);
        Assert.Equal(0, covers.DroppedMass);
        Assert.True(double.IsNegativeInfinity(law['c']));
    }

    [Fact]
    public void What_a_cap_leaves_out_is_accounted_for()
    {
        var (few, all) = (Covers(2), Covers(10_000));
        foreach (var letter in "abbaabab")
        {
            few.Append((byte)letter);
            all.Append((byte)letter);
        }

        Assert.Equal(2, few.Count);
        Assert.True(few.DroppedMass is > 0 and < 1, $"{few.DroppedMass}");
        var (some, exact) = (new double[257], new double[257]);
        few.NextLogProbs(some);
        all.NextLogProbs(exact);
        Assert.True(Math.Abs(Math.Exp(some['a']) - Math.Exp(exact['a'])) <= few.DroppedMass);
    }

    [Fact]
    public void A_copy_goes_its_own_way()
    {
        var covers = Covers(100);
        covers.Append((byte)'a');
        var copy = covers.Copy();
        copy.Append((byte)'b');
        var (law, again) = (new double[257], new double[257]);
        covers.NextLogProbs(law);
        var fresh = Covers(100);
        fresh.Append((byte)'a');
        fresh.NextLogProbs(again);
        Assert.Equal(again, law);
    }

    [Fact]
    public void A_byte_that_no_token_spells_is_an_error() =>
        Assert.Equal(EnsembleError.EmptySupport, Assert.Throws<EnsembleException>(() => Covers(10).Append((byte)'c')).Error);
}
