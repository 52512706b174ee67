namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// How an attention is cut into tasks. Many queries are cut into blocks; a long cache with few queries (decoding) is cut along the keys
/// and merged again
/// (Dao et al. 2023, "Flash-Decoding"). The cuts depend on the sequence alone, never on the threads or the batch.
/// </summary>
internal sealed unsafe class AttentionPlan
{
    /// <summary>Rows (queries x heads of a group) of a task.</summary>
    private const int RowsPerTask = 192;

    /// <summary>The most queries whose keys are divided.</summary>
    private const int DividedQueries = 8;

    /// <summary>Keys of a part; a multiple of <see cref="AttentionScratch.KeyBlock"/>.</summary>
    private const int KeysPerPart = 512;

    private readonly List<AttentionTile> _tiles = [];
    private readonly List<AttentionMerge> _merges = [];
    private int _parts, _rowsPerPart;

    /// <summary>Cuts an attention.</summary>
    public AttentionPlan(in AttentionProblem problem, int tileRows)
    {
        var queriesPerTile = Math.Max(1, RowsPerTask / problem.Group / tileRows) * tileRows;
        for (var s = 0; s < problem.Inputs.Sequences.Length; s++)
        {
            var sequence = problem.Inputs.Sequences[s];
            var firstKey = problem.FirstKey(AttentionProblem.Position(sequence, 0)) / KeysPerPart * KeysPerPart;
            if (sequence.QueryLength is > 0 and <= DividedQueries && sequence.KeyLength - firstKey > KeysPerPart)
                Divide(problem, s, sequence, firstKey);
            else
                Block(problem, s, sequence, queriesPerTile);
        }
    }

    /// <summary>The tasks; later queries, which see most, first.</summary>
    public IReadOnlyList<AttentionTile> Tiles => _tiles;

    /// <summary>What is to be merged after all tiles are done.</summary>
    public IReadOnlyList<AttentionMerge> Merges => _merges;

    /// <summary>Floats for the parts' results.</summary>
    public long PartFloats(in AttentionProblem problem) => (long)_parts * PartStride(problem);

    /// <summary>The place of a part's results among all.</summary>
    public float* Part(in AttentionProblem problem, float* parts, int part) => parts + (part * PartStride(problem));

    /// <summary>
    /// Writes sum o_i e^(m_i - m) / sum l_i e^(m_i - m) over the parts, m the largest of the m_i; zeros where no key was seen.
    /// </summary>
    public void Merge(in AttentionProblem problem, AttentionMerge merge, float* parts)
    {
        var width = problem.Shape.ValueDim;
        var sequence = problem.Inputs.Sequences[merge.Tile.Sequence];
        for (var row = 0; row < merge.Tile.Queries * problem.Group; row++)
        {
            var result = problem.Result(sequence, merge.Tile.FirstQuery + (row % merge.Tile.Queries), (merge.Tile.KvHead * problem.Group) + (row / merge.Tile.Queries));
            var first = Part(problem, parts, merge.Tile.Part) + (row * (width + 2));
            var maximum = float.NegativeInfinity;
            for (var i = 0; i < merge.Parts; i++)
                maximum = MathF.Max(maximum, first[i * PartStride(problem)]);
            var shift = float.IsNegativeInfinity(maximum) ? 0 : maximum;
            new Span<float>(result, width).Clear();
            float sum = 0;
            for (var i = 0; i < merge.Parts; i++)
            {
                var part = first + (i * PartStride(problem));
                var weight = MathF.Exp(part[0] - shift);
                sum += part[1] * weight;
                for (var d = 0; d < width; d++)
                    result[d] += part[2 + d] * weight;
            }

            var factor = sum > 0 ? 1 / sum : float.IsNaN(sum) ? sum : 0;
            for (var d = 0; d < width; d++)
                result[d] *= factor;
        }
    }

    private nint PartStride(in AttentionProblem problem) => (nint)_rowsPerPart * (problem.Shape.ValueDim + 2);

    private void Block(in AttentionProblem problem, int index, in AttentionSequence sequence, int queriesPerTile)
    {
        for (var first = (sequence.QueryLength - 1) / queriesPerTile * queriesPerTile; first >= 0 && sequence.QueryLength > 0; first -= queriesPerTile)
        {
            var queries = Math.Min(queriesPerTile, sequence.QueryLength - first);
            for (var head = 0; head < problem.Shape.KvHeads; head++)
                _tiles.Add(new AttentionTile(index, head, first, queries, 0, sequence.KeyLength, TakesSink: true, Part: -1));
        }
    }

    private void Divide(in AttentionProblem problem, int index, in AttentionSequence sequence, int firstKey)
    {
        _rowsPerPart = Math.Max(_rowsPerPart, sequence.QueryLength * problem.Group);
        for (var head = 0; head < problem.Shape.KvHeads; head++)
        {
            var firstTile = _tiles.Count;
            for (var key = firstKey; key < sequence.KeyLength; key += KeysPerPart)
            {
                var end = Math.Min(sequence.KeyLength, key + KeysPerPart);
                _tiles.Add(new AttentionTile(index, head, 0, sequence.QueryLength, key, end, key == firstKey, _parts++));
            }

            _merges.Add(new AttentionMerge(_tiles[firstTile], _tiles.Count - firstTile));
        }
    }
}
