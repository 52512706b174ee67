using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Search.Strategies;

/// <summary>Covariance matrix adaptation over the unit cube (Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv 1604.00772): weighted
/// recombination, cumulation, rank-one and rank-mu updates. Points outside the cube are mirrored into it, and learned from as mirrored.</summary>
internal sealed class CmaEs
{
    private const double LeastStep = 1e-7;
    private readonly int _n;
    private readonly double[] _weights;
    private readonly double _mueff, _cs, _cc, _c1, _cmu, _damping, _expectedNorm;
    private readonly SearchRandom _random;
    private Vector<double> _mean, _pathS, _pathC, _scales;
    private Matrix<double> _covariance, _basis;
    private double _sigma;
    private int _generation;

    /// <summary>A search around <paramref name="mean"/>.</summary>
    /// <param name="mean">Where to begin, in the unit cube.</param>
    /// <param name="sigma">The first step, as a share of the ranges.</param>
    /// <param name="population">Points per generation; null: 4 + floor(3 ln n).</param>
    /// <param name="random">Where the steps come from.</param>
    public CmaEs(IReadOnlyList<double> mean, double sigma, int? population, SearchRandom random)
    {
        (_n, _sigma, _random) = (mean.Count, sigma, random);
        Population = population ?? 4 + (int)(3 * Math.Log(_n));
        var parents = Math.Max(1, Population / 2);
        double[] raw = [.. Enumerable.Range(1, parents).Select(i => Math.Log((Population + 1) / 2.0) - Math.Log(i))];
        _weights = [.. raw.Select(weight => weight / raw.Sum())];
        _mueff = 1 / _weights.Sum(weight => weight * weight);
        _cs = (_mueff + 2) / (_n + _mueff + 5);
        _cc = (4 + (_mueff / _n)) / (_n + 4 + (2 * _mueff / _n));
        _c1 = 2 / (((_n + 1.3) * (_n + 1.3)) + _mueff);
        _cmu = Math.Min(1 - _c1, 2 * (_mueff - 2 + (1 / _mueff)) / (((_n + 2) * (_n + 2)) + _mueff));
        _damping = 1 + (2 * Math.Max(0, Math.Sqrt((_mueff - 1) / (_n + 1)) - 1)) + _cs;
        _expectedNorm = Math.Sqrt(_n) * (1 - (1 / (4.0 * _n)) + (1 / (21.0 * _n * _n)));
        _mean = Vector<double>.Build.DenseOfEnumerable(mean);
        (_pathS, _pathC, _scales) = (Vector<double>.Build.Dense(_n), Vector<double>.Build.Dense(_n), Vector<double>.Build.Dense(_n, 1));
        (_covariance, _basis) = (Matrix<double>.Build.DenseIdentity(_n), Matrix<double>.Build.DenseIdentity(_n));
    }

    /// <summary>Points per generation.</summary>
    public int Population { get; }

    /// <summary>Whether the steps have become too small to find anything.</summary>
    public bool HasConverged => _sigma * _scales.Maximum() < LeastStep;

    /// <summary>The points of a generation.</summary>
    public double[][] Ask() => [.. Enumerable.Range(0, Population).Select(_ => Sample())];

    /// <summary>Learns from a generation.</summary>
    /// <param name="points">What <see cref="Ask"/> gave, or its first so many.</param>
    /// <param name="objectives">Their objectives, the lower the better; infinite ones come last.</param>
    public void Tell(IReadOnlyList<double[]> points, IReadOnlyList<double> objectives)
    {
        _generation++;
        var steps = Enumerable.Range(0, points.Count).OrderBy(i => objectives[i]).Take(_weights.Length)
            .Select(i => (Vector<double>.Build.DenseOfArray(points[i]) - _mean) / _sigma).ToList();
        var move = Vector<double>.Build.Dense(_n);
        for (var i = 0; i < steps.Count; i++)
            move += _weights[i] * steps[i];
        _mean += _sigma * move;
        var whitened = _basis * _basis.TransposeThisAndMultiply(move).PointwiseDivide(_scales);
        _pathS = ((1 - _cs) * _pathS) + (Math.Sqrt(_cs * (2 - _cs) * _mueff) * whitened);
        var norm = _pathS.L2Norm();
        var still = norm / Math.Sqrt(1 - Math.Pow(1 - _cs, 2 * _generation)) < (1.4 + (2.0 / (_n + 1))) * _expectedNorm;
        _pathC = ((1 - _cc) * _pathC) + (still ? Math.Sqrt(_cc * (2 - _cc) * _mueff) : 0) * move;
        Adapt(steps, still);
        _sigma = Math.Min(1, _sigma * Math.Exp(_cs / _damping * ((norm / _expectedNorm) - 1)));
    }

    private void Adapt(List<Vector<double>> steps, bool still)
    {
        var correction = still ? 0 : _c1 * _cc * (2 - _cc);
        _covariance *= 1 - _c1 - _cmu + correction;
        _covariance += _c1 * _pathC.OuterProduct(_pathC);
        for (var i = 0; i < steps.Count; i++)
            _covariance += _cmu * _weights[i] * steps[i].OuterProduct(steps[i]);
        _covariance = (_covariance + _covariance.Transpose()) / 2;
        var decomposed = _covariance.Evd(Symmetricity.Symmetric);
        _basis = decomposed.EigenVectors;
        _scales = Vector<double>.Build.DenseOfEnumerable(decomposed.EigenValues.Select(value => Math.Sqrt(Math.Max(value.Real, 1e-20))));
    }

    private double[] Sample()
    {
        var z = Vector<double>.Build.DenseOfEnumerable(Enumerable.Range(0, _n).Select(_ => _random.Normal()));
        return [.. (_mean + (_sigma * (_basis * z.PointwiseMultiply(_scales)))).Select(Mirror)];
    }

    /// <summary>Folds a coordinate back into [0, 1].</summary>
    private static double Mirror(double x)
    {
        var folded = Math.Abs(x) % 2;
        return folded > 1 ? 2 - folded : folded;
    }
}
