using System.Numerics;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A mixture whose weights are chosen at every step from what the members' laws look like: w = softmax(W phi + b), with
/// <see cref="GateFeatures"/> as phi: a mixture of experts whose experts are whole models.</summary>
public sealed class GatedCombiner : ICombiner
{
    private readonly double[][] _matrix;
    private readonly double[] _bias;

    /// <summary>A gated mixture.</summary>
    /// <param name="matrix">W, one row per member, one column per feature.</param>
    /// <param name="bias">b, one per member.</param>
    /// <exception cref="EnsembleException">Sizes disagree.</exception>
    public GatedCombiner(IReadOnlyList<IReadOnlyList<double>> matrix, IReadOnlyList<double> bias)
    {
        (_matrix, _bias) = ([.. matrix.Select(row => row.ToArray())], [.. bias]);
        var wanted = GateFeatures.Count(_bias.Length);
        if (_matrix.Length != _bias.Length || Array.Exists(_matrix, row => row.Length != wanted))
            throw new EnsembleException(
                EnsembleError.InvalidParameter,
                $"the gate has {_matrix.Length} rows of {_matrix.FirstOrDefault()?.Length ?? 0} weights and {_bias.Length} biases; {_bias.Length} members need as many rows of {wanted}");
    }

    /// <inheritdoc/>
    public int Members => _bias.Length;

    /// <inheritdoc/>
    public int StateSize => GateFeatures.StateSize(Members);

    /// <inheritdoc/>
    public void Begin(Span<double> state) => state.Clear();

    /// <inheritdoc/>
    public void Observe(in StepContext step, ReadOnlySpan<double> tokenLogProbs, Span<double> next) =>
        GateFeatures.Observe(step.State, tokenLogProbs, next);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        Span<double> features = stackalloc double[GateFeatures.Count(Members)];
        GateFeatures.Compute(step, members, features);
        Span<double> logWeights = stackalloc double[Members];
        for (var k = 0; k < Members; k++)
        {
            logWeights[k] = _bias[k];
            for (var j = 0; j < features.Length; j++)
                logWeights[k] += _matrix[k][j] * features[j];
        }

        var total = RowMath.LogSumExp<double>(logWeights);
        for (var k = 0; k < Members; k++)
            logWeights[k] -= total;
        LogMixture.Combine(members, logWeights, logProbs);
    }
}
