namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Where the entries of a tensor, ordered by magnitude and, where equal, by flat index, are cut in two.</summary>
/// <param name="Bits">The magnitude at the cut, as the bits of a float32 without sign; magnitudes order as these bits do.</param>
/// <param name="LastTie">Flat index of the last entry of exactly that magnitude that is on the first side (<see cref="CutSide"/>); -1 for none.</param>
public readonly record struct MagnitudeCut(uint Bits, long LastTie)
{
    private const int SampleRanges = 256, SampleLength = 256;
    private const int Deviations = 8;

    /// <summary>The magnitude at the cut.</summary>
    public float Value => BitConverter.UInt32BitsToSingle(Bits);

    /// <summary>The cuts that keep the largest entries of several task vectors.</summary>
    /// <param name="inputs">The tensor; rows are models, not yet differences.</param>
    /// <param name="wanted">Source index and k (at least 1) of each.</param>
    internal static MagnitudeCut[] Find(TensorInputs inputs, IReadOnlyList<(int Source, long Keep)> wanted) =>
        Find(inputs, [.. wanted.Select(one => CutTarget.OfDelta(inputs, one.Source, one.Keep, CutSide.KeepLargest))]);

    /// <summary>Exact cuts, found together in streaming passes with bounded memory.</summary>
    /// <param name="inputs">The tensor.</param>
    /// <param name="wanted">What is cut where.</param>
    /// <remarks>A small sample brackets each cut; a pass counts what lies above the bracket and makes a histogram inside it; this repeats
    /// on the bucket that holds the cut until it is a single magnitude, usually at once. The same pass counts per block the entries of the
    /// likeliest magnitude; only where the cut is another one, and ties straddle it, does one more pass count those.</remarks>
    internal static MagnitudeCut[] Find(TensorInputs inputs, IReadOnlyList<CutTarget> wanted)
    {
        if (wanted.Count == 0)
            return [];
        var searches = wanted.Select(one => new CutSearch(one, inputs.Count, TensorInputs.BlockElements)).ToArray();
        Bracket(inputs, searches);
        while (searches.Any(search => !search.Done))
        {
            var open = searches.Where(search => !search.Done).ToArray();
            Array.ForEach(open, search => search.Begin());
            inputs.ForEachChunk(chunk =>
            {
                foreach (var search in open)
                    search.Count(search.Target.Values(chunk), search.Target.Origin(chunk), chunk.Start);
            });
            Array.ForEach(open, search => search.End());
        }

        return [.. searches.Select(search => new MagnitudeCut(search.Lowest,
            search.TiesMatter ? LastTieOf(inputs, search) : search.FirstTies == 0 ? -1 : long.MaxValue))];
    }

    /// <summary>First guesses from a strided sample, or from everything where that is no more.</summary>
    private static void Bracket(TensorInputs inputs, CutSearch[] searches)
    {
        const int wanted = SampleRanges * SampleLength;
        var samples = searches.Select(_ => new MagnitudeSample((int)Math.Min(wanted, inputs.Count))).ToArray();
        void Take(Chunk chunk)
        {
            for (var i = 0; i < searches.Length; i++)
                samples[i].Add(searches[i].Target.Values(chunk), searches[i].Target.Origin(chunk));
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
            index = first + search.IndexOfTie(search.Target.Values(chunk), search.Target.Origin(chunk), rank));
        return index;
    }
}
