using System.Numerics.Tensors;

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
    /// on the bucket that holds the cut until it is a single magnitude, usually at once. One more pass finds where ties end.</remarks>
    internal static MagnitudeCut[] Find(TensorInputs inputs, IReadOnlyList<(int Source, long Keep)> wanted)
    {
        if (wanted.Count == 0)
            return [];
        var searches = wanted.Select(one => new CutSearch(one.Source, one.Keep, inputs.Count)).ToArray();
        Bracket(inputs, searches);
        while (searches.Any(search => !search.Done))
        {
            var open = searches.Where(search => !search.Done).ToArray();
            Array.ForEach(open, search => search.Begin());
            VisitDeltas(inputs, open, (search, delta, _) => search.Count(delta));
            Array.ForEach(open, search => search.End());
        }

        FindTies(inputs, [.. searches.Where(search => search.TiesMatter)]);
        return [.. searches.Select(search => new MagnitudeCut(search.Lowest, search.LastTie))];
    }

    /// <summary>First guesses from a strided sample; a wrong guess costs a pass, never the result.</summary>
    private static void Bracket(TensorInputs inputs, CutSearch[] searches)
    {
        if (inputs.Count < 4L * SampleRanges * SampleLength)
            return;
        var baseIndex = inputs.Job.BaseIndex;
        var samples = searches.Select(_ => new List<float>(SampleRanges * SampleLength)).ToArray();
        inputs.Sample(SampleRanges, SampleLength, chunk =>
        {
            for (var i = 0; i < searches.Length; i++)
            {
                var delta = chunk.Source(searches[i].Source);
                TensorPrimitives.Subtract(delta, chunk.Source(baseIndex), delta);
                TensorPrimitives.Abs(delta, delta);
                samples[i].AddRange(delta);
            }
        });
        for (var i = 0; i < searches.Length; i++)
            searches[i].Narrow(samples[i], Deviations);
    }

    private static void FindTies(TensorInputs inputs, CutSearch[] searches)
    {
        if (searches.Length == 0)
            return;
        Array.ForEach(searches, search => search.BeginTies(TensorInputs.BlockElements));
        VisitDeltas(inputs, searches, (search, delta, start) => search.CountTies(delta, start));
        foreach (var search in searches)
        {
            var (block, rank) = search.TieBlock();
            var first = (long)block * TensorInputs.BlockElements;
            inputs.Range(first, (int)Math.Min(TensorInputs.BlockElements, inputs.Count - first), chunk =>
            {
                var delta = chunk.Source(search.Source);
                TensorPrimitives.Subtract(delta, chunk.Source(inputs.Job.BaseIndex), delta);
                search.LastTie = first + search.IndexOfTie(delta, rank);
            });
        }
    }

    private static void VisitDeltas(TensorInputs inputs, CutSearch[] searches, DeltaVisitor visit)
    {
        var baseIndex = inputs.Job.BaseIndex;
        inputs.ForEachChunk(chunk =>
        {
            foreach (var search in searches)
            {
                var delta = chunk.Scratch(0);
                TensorPrimitives.Subtract(chunk.Source(search.Source), chunk.Source(baseIndex), delta);
                visit(search, delta, chunk.Start);
            }
        });
    }

    private delegate void DeltaVisitor(CutSearch search, Span<float> delta, long start);
}
