namespace MergeKit.Core.Merging.Transplanting;

/// <summary>What became of one matrix's rows.</summary>
/// <param name="Tensor">Its name.</param>
/// <param name="Matched">Rows by the reason why they are what they are.</param>
/// <param name="Residual">The mean of |row - combination| / |row| in the donor's matrix; null where rows are not made from the donor's.</param>
public sealed record TransplantedTensor(string Tensor, IReadOnlyDictionary<TokenMatch, int> Matched, double? Residual)
{
    /// <summary>The report as a sentence.</summary>
    public override string ToString()
    {
        int Count(TokenMatch kind) => Matched.GetValueOrDefault(kind);
        return $"{Tensor}: {Count(TokenMatch.Text):N0} rows of tokens that both have, {Count(TokenMatch.Role):N0} of special tokens by role, {Count(TokenMatch.Byte):N0} by byte, "
            + $"{Count(TokenMatch.Prefix):N0} by prefix, {Count(TokenMatch.New):N0} made"
            + (Residual is { } residual ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $" (on average {residual:P1} of the donor's row is not reproduced)") : "")
            + $", {Count(TokenMatch.Padding):N0} padding"
            + (Count(TokenMatch.Untrained) is > 0 and var untrained ? $", {untrained:N0} zero that neither model has trained" : "");
    }
}
