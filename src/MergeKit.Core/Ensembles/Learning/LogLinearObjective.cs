using System.Numerics.Tensors;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Value and derivatives of the log-linear objective at a point.</summary>
/// <param name="Value">f(lambda), the penalty included.</param>
/// <param name="Nll">Mean negative log-likelihood, without the penalty.</param>
/// <param name="Gradient">mean_t [l_k(y_t) - E l_k] - l2 (lambda - prior).</param>
/// <param name="Hessian">-mean_t Cov(l_j, l_k) under the combined law, minus l2 on the diagonal; null where not asked for.</param>
public sealed record LogLinearPoint(double Value, double Nll, double[] Gradient, double[,]? Hessian);

/// <summary>f(lambda) = mean_t [sum_k lambda_k l_k(y_t) - ln Z_t(lambda)] - (l2 / 2) |lambda - prior|^2, concave (Klakow 1998).
/// Each evaluation reads the members' logits block by block; only their normalisers are kept. Under a negative lambda a member's log-probabilities are
/// floored at <see cref="NegativeFloor"/>, as they are when the ensemble runs.</summary>
public sealed class LogLinearObjective
{
    /// <summary>ln 1e-10.</summary>
    public static readonly double NegativeFloor = Math.Log(1e-10);

    private const int BlockDoubles = 1 << 19;
    private readonly IReadOnlyList<IAnswerLogits> _members;
    private readonly IReadOnlyList<int> _gold;
    private readonly double _l2;
    private readonly double[] _prior;
    private readonly double[][] _normalisers;
    private readonly int _vocabulary, _block;

    /// <summary>Reads every member once, for its normalisers. Errors: members of different sizes, a gold id outside the vocabulary, NaN.</summary>
    /// <param name="members">At least one, with equal positions and vocabularies.</param>
    /// <param name="gold">The gold token of every position.</param>
    /// <param name="l2">Strength of the ridge.</param>
    /// <param name="prior">Where the ridge pulls to; null: 1 / K for each.</param>
    public LogLinearObjective(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> gold, double l2 = 0, IReadOnlyList<double>? prior = null)
    {
        (_members, _gold, _l2) = (members, gold, l2);
        Check();
        _prior = prior?.ToArray() ?? [.. members.Select(_ => 1.0 / members.Count)];
        _vocabulary = members[0].VocabularySize;
        _block = Math.Clamp(BlockDoubles / _vocabulary, 1, gold.Count);
        _normalisers = [.. members.Select(Normalisers)];
    }

    /// <summary>Members.</summary>
    public int Members => _members.Count;

    /// <summary>ln p_k(y_t).</summary>
    public GoldLogProbs Gold()
    {
        var rows = Enumerable.Range(0, _gold.Count).Select(_ => new double[Members]).ToArray();
        Blocks((first, count, buffers) =>
        {
            for (var k = 0; k < Members; k++)
                for (var i = 0; i < count; i++)
                    rows[first + i][k] = buffers[k][(i * _vocabulary) + _gold[first + i]];
        });
        return GoldLogProbs.Of(rows);
    }

    /// <summary>Evaluates at a point, over all positions or the chosen ones.</summary>
    /// <exception cref="LearningException">The gold token of a position has probability 0 under a member of positive lambda.</exception>
    public LogLinearPoint Evaluate(IReadOnlyList<double> lambdas, bool hessian = true, IReadOnlyList<bool>? chosen = null)
    {
        var sums = new Sums(Members);
        Blocks((first, count, buffers) =>
        {
            for (var i = 0; i < count; i++)
                if (chosen?[first + i] != false)
                    Position(lambdas, buffers, i, first + i, hessian, sums);
        });
        return Finish(lambdas, hessian, sums);
    }

    /// <summary>The log-probability of every gold token, and its gradient in lambda, [positions][members]: the scores that errors of weights are made of.</summary>
    public (double[] LogProbs, double[][] Scores) PerPosition(IReadOnlyList<double> lambdas)
    {
        var (logProbs, scores) = (new double[_gold.Count], new double[_gold.Count][]);
        Blocks((first, count, buffers) =>
        {
            for (var i = 0; i < count; i++)
            {
                var one = new Sums(Members);
                Position(lambdas, buffers, i, first + i, hessian: false, one);
                (logProbs[first + i], scores[first + i]) = (one.Value, one.Gradient);
            }
        });
        return (logProbs, scores);
    }

    private void Check()
    {
        if (_members.Count == 0 || _gold.Count == 0)
            throw new LearningException(LearningError.InvalidInput, "learning needs at least one position and one member");
        foreach (var (k, member) in _members.Index())
            if (member.Positions != _gold.Count || member.VocabularySize != _members[0].VocabularySize)
                throw new LearningException(LearningError.InvalidInput,
                    $"member {k + 1} has {member.Positions} positions x {member.VocabularySize} logits; wanted {_gold.Count} x {_members[0].VocabularySize}");
        foreach (var (t, id) in _gold.Index())
            if (id < 0 || id >= _members[0].VocabularySize)
                throw new LearningException(LearningError.InvalidInput, $"position {t + 1}: the gold token {id} is outside the vocabulary of {_members[0].VocabularySize}");
    }

    private double[] Normalisers(IAnswerLogits member)
    {
        var (normalisers, buffer) = (new double[_gold.Count], new double[_block * _vocabulary]);
        for (var first = 0; first < _gold.Count; first += _block)
        {
            var count = Math.Min(_block, _gold.Count - first);
            member.Read(first, count, buffer);
            for (var i = 0; i < count; i++)
            {
                normalisers[first + i] = RowMath.LogSumExp<double>(buffer.AsSpan(i * _vocabulary, _vocabulary));
                if (!double.IsFinite(normalisers[first + i]))
                    throw new LearningException(LearningError.InvalidInput, $"position {first + i + 1}: the logits of a member are not usable (their sum is {normalisers[first + i]})");
            }
        }

        return normalisers;
    }

    /// <summary>Hands every block of log-probabilities to <paramref name="visit"/>, one array per member.</summary>
    private void Blocks(Action<int, int, double[][]> visit)
    {
        var buffers = _members.Select(_ => new double[_block * _vocabulary]).ToArray();
        for (var first = 0; first < _gold.Count; first += _block)
        {
            var count = Math.Min(_block, _gold.Count - first);
            for (var k = 0; k < Members; k++)
            {
                _members[k].Read(first, count, buffers[k]);
                for (var i = 0; i < count; i++)
                {
                    var row = buffers[k].AsSpan(i * _vocabulary, _vocabulary);
                    TensorPrimitives.Subtract(row, _normalisers[k][first + i], row);
                }
            }

            visit(first, count, buffers);
        }
    }

    private void Position(IReadOnlyList<double> lambdas, double[][] buffers, int row, int t, bool hessian, Sums sums)
    {
        var p = sums.Scratch(_vocabulary);
        p.Clear();
        for (var k = 0; k < Members; k++)
        {
            var values = buffers[k].AsSpan(row * _vocabulary, _vocabulary);
            if (lambdas[k] < 0)
                TensorPrimitives.Max(values, NegativeFloor, values);
            if (lambdas[k] != 0)
                TensorPrimitives.MultiplyAdd(values, lambdas[k], p, p);
        }

        var (most, gold) = (TensorPrimitives.Max<double>(p), p[_gold[t]]);
        if (!double.IsFinite(gold) || !double.IsFinite(most))
            throw new LearningException(LearningError.ZeroProbability, $"position {t + 1}: the gold token {_gold[t]} has probability 0 under a member of positive weight");
        TensorPrimitives.Subtract(p, most, p);
        TensorPrimitives.Exp(p, p);
        var total = TensorPrimitives.Sum<double>(p);
        TensorPrimitives.Divide(p, total, p);
        sums.Count++;
        sums.Value += gold - most - Math.Log(total);
        Moments(buffers, row, _gold[t], p, hessian, sums);
    }

    private void Moments(double[][] buffers, int row, int gold, Span<double> p, bool hessian, Sums sums)
    {
        var means = sums.Means;
        for (var k = 0; k < Members; k++)
        {
            var values = buffers[k].AsSpan(row * _vocabulary, _vocabulary);
            // An impossible token has p = 0 and l = -inf where the lambda is not 0, or l = -inf alone where it is: neither may turn into NaN.
            TensorPrimitives.Max(values, double.MinValue / 1e10, values);
            means[k] = TensorPrimitives.Dot<double>(p, values);
            sums.Gradient[k] += values[gold] - means[k];
        }

        if (!hessian)
            return;
        var weighted = sums.Second(_vocabulary);
        for (var j = 0; j < Members; j++)
        {
            TensorPrimitives.Multiply(p, buffers[j].AsSpan(row * _vocabulary, _vocabulary), weighted);
            for (var k = 0; k <= j; k++)
                sums.Hessian[j, k] -= TensorPrimitives.Dot<double>(weighted, buffers[k].AsSpan(row * _vocabulary, _vocabulary)) - (means[j] * means[k]);
        }
    }

    private LogLinearPoint Finish(IReadOnlyList<double> lambdas, bool hessian, Sums sums)
    {
        var (value, penalty) = (sums.Value / sums.Count, 0.0);
        for (var j = 0; j < Members; j++)
        {
            var pull = lambdas[j] - _prior[j];
            penalty += _l2 / 2 * pull * pull;
            sums.Gradient[j] = (sums.Gradient[j] / sums.Count) - (_l2 * pull);
            for (var k = 0; k <= j; k++)
                sums.Hessian[j, k] = sums.Hessian[k, j] = (sums.Hessian[j, k] / sums.Count) - (j == k ? _l2 : 0);
        }

        return new LogLinearPoint(value - penalty, -value, sums.Gradient, hessian ? sums.Hessian : null);
    }

    private sealed class Sums(int members)
    {
        private double[] _first = [], _second = [];

        public int Count { get; set; }

        public double Value { get; set; }

        public double[] Gradient { get; } = new double[members];

        public double[] Means { get; } = new double[members];

        public double[,] Hessian { get; } = new double[members, members];

        public Span<double> Scratch(int length) => (_first.Length >= length ? _first : _first = new double[length]).AsSpan(0, length);

        public Span<double> Second(int length) => (_second.Length >= length ? _second : _second = new double[length]).AsSpan(0, length);
    }
}
