using MergeKit.Core.Numerics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>How a delta is factored.</summary>
/// <param name="MaxRank">The most singular values that are kept.</param>
/// <param name="DistributeScale">Whether A and B each take the root of the singular values, or A all of them.</param>
/// <param name="SvEpsilon">Singular values up to this are dropped; 0 keeps all.</param>
/// <param name="Type">What the factors are rounded to.</param>
/// <param name="Seed">Seed of the random projection.</param>
public sealed record FactoringOptions(int MaxRank, bool DistributeScale, double SvEpsilon, DType Type, ulong Seed)
{
    /// <summary>What decomposes whole matrices.</summary>
    public IDecomposer Decomposer { get; init; } = new CpuDecomposer();
}

/// <summary>What a factorisation of a delta D left over.</summary>
/// <param name="Module">The module.</param>
/// <param name="Rank">The rank.</param>
/// <param name="DeltaNorm">|D|, Frobenius.</param>
/// <param name="ResidualNorm">|D - B A| with the factors as they are stored.</param>
public sealed record FactoringReport(string Module, int Rank, double DeltaNorm, double ResidualNorm);

/// <summary>Factors a delta D [out, in] as B A by its leading singular triplets: A = sqrt(S) V^T and B = U sqrt(S), or A = S V^T and B = U.</summary>
public static class Factoring
{
    /// <summary>Factors one delta.</summary>
    /// <param name="name">The module.</param>
    /// <param name="delta">D, row-major.</param>
    /// <param name="outputs">Rows of D.</param>
    /// <param name="inputs">Columns of D.</param>
    /// <param name="isEmbedding">Whether the module is an embedding.</param>
    /// <param name="options">How.</param>
    /// <param name="loop">Where the work is done.</param>
    public static (FactoredModule Module, FactoringReport Report) Of(
        string name, float[] delta, int outputs, int inputs, bool isEmbedding, FactoringOptions options, ParallelLoop loop)
    {
        var rank = Math.Min(options.MaxRank, Math.Min(outputs, inputs));
        var svd = RandomizedSvd.Of(delta, outputs, inputs, rank, new CounterRandom(options.Seed, name, 0), options.Decomposer, loop);
        if (options.SvEpsilon > 0)
            rank = svd.Values.Count(value => value > options.SvEpsilon);
        var (a, b) = (new float[(long)rank * inputs], new float[(long)outputs * rank]);
        for (var k = 0; k < Math.Min(rank, svd.Values.Length); k++)
        {
            var (root, value) = (Math.Sqrt(svd.Values[k]), svd.Values[k]);
            for (var j = 0; j < inputs; j++)
                a[k * inputs + j] = (float)((options.DistributeScale ? root : value) * svd.Right[k][j]);
            for (var i = 0; i < outputs; i++)
                b[i * rank + k] = (float)((options.DistributeScale ? root : 1) * svd.Left[k][i]);
        }

        TensorCodec.Round(options.Type, a);
        TensorCodec.Round(options.Type, b);
        var module = new FactoredModule(name, a, b, rank, inputs, outputs, isEmbedding, options.Type);
        return (module, Report(delta, module, loop));
    }

    /// <summary>What a module's factors leave over of a delta.</summary>
    public static FactoringReport Report(float[] delta, FactoredModule module, ParallelLoop loop) =>
        new(module.Name, module.Rank, Math.Sqrt(TensorMath.Dot(delta, delta)), Residual(delta, module, loop));

    private static double Residual(float[] delta, FactoredModule module, ParallelLoop loop)
    {
        var squares = new double[module.Outputs];
        loop(module.Outputs, i =>
        {
            var row = new double[module.Inputs];
            for (var k = 0; k < module.Rank; k++)
                for (var j = 0; j < row.Length; j++)
                    row[j] += (double)module.B[i * module.Rank + k] * module.A[k * module.Inputs + j];
            for (var j = 0; j < row.Length; j++)
                squares[i] += (delta[i * module.Inputs + j] - row[j]) * (delta[i * module.Inputs + j] - row[j]);
        });
        return Math.Sqrt(squares.Sum());
    }
}
