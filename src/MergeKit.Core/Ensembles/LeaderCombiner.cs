using System.Numerics;
using System.Numerics.Tensors;

namespace MergeKit.Core.Ensembles;

/// <summary>One member decides alone where it is sure of itself; else the rule does (GaC, Yu et al. 2024).</summary>
internal sealed class LeaderCombiner : ICombiner
{
    private readonly ICombiner _rule;

    /// <summary>A rule with a leader.</summary>
    public LeaderCombiner(ICombiner rule, int leader, double threshold)
    {
        if (threshold is not (>= 0 and <= 1))
            throw new EnsembleException(EnsembleError.InvalidParameter, $"leader_threshold is {threshold}: 0 to 1 is wanted");
        (_rule, Leader, Threshold) = (rule, leader, threshold);
    }

    /// <summary>The member that leads.</summary>
    public int Leader { get; }

    /// <summary>It decides alone while its largest probability is above this.</summary>
    public double Threshold { get; }

    /// <inheritdoc/>
    public int Members => _rule.Members;

    /// <inheritdoc/>
    public int StateSize => _rule.StateSize;

    /// <summary>The rule that decides where the leader does not.</summary>
    public ICombiner Rule => _rule;

    /// <inheritdoc/>
    public bool Observes(int position, int promptLength) => _rule.Observes(position, promptLength);

    /// <inheritdoc/>
    public bool Reads(int member) => member == Leader || _rule.Reads(member);

    /// <inheritdoc/>
    public void Begin(Span<double> state) => _rule.Begin(state);

    /// <inheritdoc/>
    public void Observe(in StepContext step, ReadOnlySpan<double> tokenLogProbs, Span<double> next) => _rule.Observe(step, tokenLogProbs, next);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (!DecidesAlone(members[Leader].Span, logProbs))
            _rule.Combine(step, members, logProbs);
    }

    /// <summary>Whether the leader is sure; then its law is written.</summary>
    public bool DecidesAlone<T>(ReadOnlySpan<T> row, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var total = RowMath.LogSumExp(row);
        if (!(Math.Exp(RowMath.Maximum(row) - total) > Threshold))
            return false;
        TensorPrimitives.Subtract(row, T.CreateChecked(total), logProbs);
        return true;
    }
}
