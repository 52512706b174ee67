using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>One matrix with a row per token, in the donor's numbering.</summary>
internal sealed class TransplantedMatrix
{
    private readonly bool _isHead;
    private readonly ITensorSource _donor;
    private readonly int _donorWidth;
    private readonly TokenMatches _matches;
    private readonly Tokenizer _tokenizer;
    private readonly TokenMatch[] _kinds;
    private readonly RowTerm[][] _rows;
    private readonly CombinedRows _made;
    private readonly ITensorSource _model;
    private readonly int _width, _used;
    private readonly Rotation? _modelRotation, _donorRotation;

    /// <summary>Plans the matrix.</summary>
    /// <param name="job">The job that copies it.</param>
    /// <param name="isHead">Whether it is the head.</param>
    /// <param name="donor">The donor's matrix in its place.</param>
    /// <param name="donorWidth">Elements of the donor's rows.</param>
    /// <param name="matches">Which rows the model has.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="options">How rows are made.</param>
    /// <param name="rotations">How positions turn the model's and the donor's rows, where the method asks.</param>
    public TransplantedMatrix(
        TensorJob job, bool isHead, ITensorSource donor, int donorWidth, TokenMatches matches, Tokenizer tokenizer, TransplantOptions options, (Rotation Model, Rotation Donor)? rotations)
    {
        (_modelRotation, _donorRotation) = (rotations?.Model, rotations?.Donor);
        (_isHead, _donor, _donorWidth, _matches, _tokenizer) = (isHead, donor, donorWidth, matches, tokenizer);
        var (width, stored, count) = (checked((int)job.Shape[1]), (int)job.Shape[0], matches.Rows.Length);
        var used = Math.Min(stored, tokenizer.VocabularySize);
        (_kinds, _rows) = ([.. matches.Kinds], new RowTerm[count][]);
        var here = isHead ? MatchIn.Head : MatchIn.Embedding;
        for (var row = 0; row < count; row++)
        {
            var from = matches.Rows[row];
            if (_kinds[row] == TokenMatch.New)
                (_kinds[row], from) = matches.Loosely(row, options.ByteMatch.HasFlag(here), options.PrefixMatch.HasFlag(here));
            _rows[row] = _kinds[row] == TokenMatch.Untrained ? [] : from >= 0 && from < stored ? [new RowTerm(from, 1)] : [new RowTerm(RowTerm.Mean, 1)];
        }

        (_model, _width, _used) = (job.Sources[0].Data, width, used);
        _made = new CombinedRows(job.Sources[0].Data, width, _rows, used, $"rows of {donor.Description} by {options}");
        Job = new TensorJob(job.Name, [count, width], job.OutputType, job.Method, [job.Sources[0] with { Data = _made }], job.Parameters) { Depth = job.Depth };
    }

    /// <summary>The job that makes it.</summary>
    public TensorJob Job { get; }

    /// <summary>Makes the rows that have no match.</summary>
    public TransplantedTensor Solve(TransplantOptions options, int threads, TransplantProgress progress, CancellationToken cancellation)
    {
        var wanted = Enumerable.Range(0, _rows.Length).Where(row => _kinds[row] == TokenMatch.New).ToArray();
        double? residual = null;
        switch (options.Method)
        {
            case TransplantMethod.Zero:
                foreach (var row in wanted)
                    _rows[row] = [];
                break;
            case TransplantMethod.Subword:
                foreach (var row in wanted)
                    _rows[row] = Subwords(row, options.Subword);
                break;
            case TransplantMethod.Omp or TransplantMethod.CommonInterpolation:
                residual = Approximate(wanted, options, threads, progress, cancellation);
                break;
            case TransplantMethod.MpRope when wanted.Length > 0:
                residual = Turn(wanted, options, threads, progress, cancellation);
                break;
            case TransplantMethod.Randn or TransplantMethod.JohnHewitt or TransplantMethod.LandmarkPca or TransplantMethod.Stb when wanted.Length > 0:
                foreach (var row in wanted)
                    _rows[row] = [new RowTerm(RowTerm.Made, 1)];
                _made.Maker = Maker(options, new RowMoments(threads, progress, cancellation), threads, progress, cancellation);
                break;
        }

        var counts = _kinds.CountBy(kind => kind).ToDictionary(pair => pair.Key, pair => pair.Value);
        return new TransplantedTensor(Job.Name, counts, residual);
    }

    private RowMaker Maker(TransplantOptions options, RowMoments moments, int threads, TransplantProgress progress, CancellationToken cancellation)
    {
        var (all, random) = (Enumerable.Range(0, _used).ToArray(), new Numerics.CounterRandom(options.Seed, Job.Name, 0));
        if (options.Method == TransplantMethod.Randn)
            return MadeRows.Noise((_model, _width), all, random);
        if (options.Method == TransplantMethod.JohnHewitt)
            return MadeRows.Distributed((_model, _width), all, random, moments);
        var shared = _matches.Shared.ToArray();
        var own = Array.ConvertAll(shared, row => _matches.Rows[row]);
        if (options.Method == TransplantMethod.LandmarkPca)
            return MadeRows.Mapped((_donor, _donorWidth), shared, (_model, _width), own, moments);
        var approximation = new RowApproximation(options, threads, progress, cancellation);
        return new TokenBasis(approximation, moments).Map(new TokenRows(_donor, _donorWidth, shared, _rows.Length), new TokenRows(_model, _width, own, _used));
    }

    /// <summary>Rows made by matching pursuit with turned rows.</summary>
    private double Turn(int[] wanted, TransplantOptions options, int threads, TransplantProgress progress, CancellationToken cancellation)
    {
        var shared = _matches.Shared.ToArray();
        var pursuit = new RotaryPursuit(_donorRotation!, options.Neighbours, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation }, progress);
        var (terms, residual) = pursuit.Approximate(RowApproximation.ReadRows(_donor, _donorWidth, shared), _donorWidth, wanted.Length, i => RowApproximation.ReadRows(_donor, _donorWidth, [wanted[i]]));
        var made = new Dictionary<int, TurnedTerm[]>();
        for (var i = 0; i < wanted.Length; i++)
        {
            _rows[wanted[i]] = [new RowTerm(RowTerm.Made, 1)];
            made[wanted[i]] = [.. terms[i].Select(term => term with { Index = _matches.Rows[shared[term.Index]] })];
        }

        _made.Maker = (row, values) =>
        {
            var scratch = new byte[_width * sizeof(double)];
            var (own, sum) = (new float[_width], new double[_width]);
            foreach (var term in made[row])
            {
                _model.Read((long)term.Index * _width, own, scratch);
                _modelRotation!.AddTurned(own, term.Position, term.Factor, sum);
            }

            for (var i = 0; i < sum.Length; i++)
                values[i] = (float)sum[i];
        };
        return residual;
    }

    private double Approximate(int[] wanted, TransplantOptions options, int threads, TransplantProgress progress, CancellationToken cancellation)
    {
        var shared = _matches.Shared.ToArray();
        var (terms, residual) = new RowApproximation(options, threads, progress, cancellation).Approximate(_donor, _donorWidth, shared, wanted);
        for (var i = 0; i < wanted.Length; i++)
            _rows[wanted[i]] = [.. terms[i].Select(term => new RowTerm(_matches.Rows[shared[term.Index]], term.Factor))];
        return residual;
    }

    /// <summary>The pieces into which the model's tokenizer cuts the token; the mean of all rows where it cannot.</summary>
    private RowTerm[] Subwords(int row, SubwordWeights weights)
    {
        var pieces = _matches.Texts[row].SpelledFor(_tokenizer.Kind) is { } word ? Cut(word) : [];
        if (pieces.Length == 0)
            return [new RowTerm(RowTerm.Mean, 1)];
        var sum = pieces.Length * (pieces.Length + 1) / 2f;
        return weights switch
        {
            SubwordWeights.Mean => [.. pieces.Select(piece => new RowTerm(piece, 1f / pieces.Length))],
            SubwordWeights.Sum => [.. pieces.Select(piece => new RowTerm(piece, 1))],
            SubwordWeights.FirstLast => [new RowTerm(_isHead ? pieces[0] : pieces[^1], 1)],
            _ => [.. pieces.Select((piece, i) => new RowTerm(piece, (_isHead ? pieces.Length - i : i + 1) / sum))],
        };
    }

    private int[] Cut(string word)
    {
        try
        {
            return [.. _tokenizer.EncodeWord(word).Where(id => id != _tokenizer.UnkId && id < _made.SourceRows)];
        }
        catch (Diagnostics.InputException)
        {
            return []; // the model's vocabulary cannot express it
        }
    }
}
