namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Which entries are the k largest by magnitude: those above <see cref="Bits"/>, and those equal to it up to flat index <see cref="LastTie"/>
/// (of equal magnitudes the lower index stays, as a stable descending sort would have it).</summary>
/// <param name="Bits">The k-th largest magnitude, as the bits of a float32 without sign; magnitudes order as these bits do.</param>
/// <param name="LastTie">Flat index of the last entry of exactly that magnitude that stays.</param>
public readonly record struct MagnitudeCut(uint Bits, long LastTie)
{
    private const int SampleRanges = 256, SampleLength = 256;
    private const int Deviations = 8;

    /// <summary>The exact cuts of several task vectors, found together in streaming passes with bounded memory.</summary>
    /// <param name="inputs">The tensor; rows are models, not yet differences.</param>
    /// <param name="wanted">Source index and k (at least 1) of each.</param>
    /// <remarks>A small sample brackets each cut; a pass counts what lies above the bracket and makes a histogram inside it; this repeats
    /// on the bucket that holds the cut until it is a single magnitude, usually at once. The same pass counts per block the entries of the
    /// likeliest magnitude; only where the cut is another one, and ties straddle it, does one more pass count those.</remarks>
    internal static MagnitudeCut[] Find(TensorInputs inputs, IReadOnlyList<(int Source, long Keep)> wanted)
    {
        if (wanted.Count == 0)
            return [];
        var baseIndex = inputs.Job.BaseIndex;
        var searches = wanted.Select(one => new CutSearch(one.Source, one.Keep, inputs.Count, TensorInputs.BlockElements)).ToArray();
        Bracket(inputs, searches);
        while (searches.Any(search => !search.Done))
        {
            var open = searches.Where(search => !search.Done).ToArray();
            Array.ForEach(open, search => search.Begin());
            inputs.ForEachChunk(chunk =>
            {
                foreach (var search in open)
                    search.Count(chunk.Source(search.Source), chunk.Source(baseIndex), chunk.Start);
            });
            Array.ForEach(open, search => search.End());
        }

        return [.. searches.Select(search => new MagnitudeCut(search.Lowest, search.TiesMatter ? LastTieOf(inputs, search) : long.MaxValue))];
    }

    /// <summary>First guesses from a strided sample, or from everything where that is no more.</summary>
    private static void Bracket(TensorInputs inputs, CutSearch[] searches)
    {
        const int wanted = SampleRanges * SampleLength;
        var baseIndex = inputs.Job.BaseIndex;
        var samples = searches.Select(_ => new MagnitudeSample((int)Math.Min(wanted, inputs.Count))).ToArray();
        void Take(Chunk chunk)
        {
            for (var i = 0; i < searches.Length; i++)
                samples[i].Add(chunk.Source(searches[i].Source), chunk.Source(baseIndex));
        }

        if (inputs.Count > wanted)
            inputs.Sample(SampleRanges, SampleLength, Take);
        else
            for (var start = 0L; start < inputs.Count; start += TensorInputs.BlockElements)
                inputs.Range(start, TensorInputs.BlockElements, Take);
        for (var i = 0; i < searches.Length; i++)
            searches[i].Narrow(samples[i], Deviations);
    }

    private static long LastTieOf(TensorInputs inputs, CutSearch search)
    {
        var (block, rank) = search.TieBlock();
        var first = (long)block * TensorInputs.BlockElements;
        var index = 0L;
        inputs.Range(first, TensorInputs.BlockElements, chunk =>
            index = first + search.IndexOfTie(chunk.Source(search.Source), chunk.Source(inputs.Job.BaseIndex), rank));
        return index;
    }
}
