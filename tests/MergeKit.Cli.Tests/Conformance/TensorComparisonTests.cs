using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>The comparison must find what is wrong: a check that cannot fail proves nothing.</summary>
public class TensorComparisonTests
{
    private static readonly LoadedTensor A = LoadedTensor.Float32("a", [2, 2], 1f, -2f, 3f, 0f);
    private static readonly LoadedTensor B = LoadedTensor.Float32("b", [2], 0.5f, 0.25f);

    [Fact]
    public void Equal_sets_give_no_finding()
    {
        var findings = new List<string>();
        var pairs = TensorComparison.Pair(Set(A, B), Set(A, B), findings);
        TensorComparison.Bitwise(pairs, findings);
        TensorComparison.Close(pairs, new Tolerance(0, 0, 0), findings);
        Assert.Equal(2, pairs.Count);
        Assert.Empty(findings);
    }

    [Fact]
    public void A_missing_and_an_extra_tensor_are_found()
    {
        var findings = new List<string>();
        TensorComparison.Pair(Set(A), Set(B), findings);
        Assert.Equal(["tensor 'a' is missing", "tensor 'b' should not be there"], findings);
    }

    [Fact]
    public void A_wrong_type_and_a_wrong_shape_are_found()
    {
        var findings = new List<string>();
        var pairs = TensorComparison.Pair(Set(A, B), Set(A with { DType = DType.I32 }, B with { Shape = [1, 2] }), findings);
        Assert.Empty(pairs);
        Assert.Equal(["tensor 'a' has type I32, F32 is wanted", "tensor 'b' has shape [1, 2], [2] is wanted"], findings);
    }

    [Fact]
    public void One_bit_breaks_bitwise()
    {
        var findings = new List<string>();
        TensorComparison.Bitwise([(A, Change(A, 3, -0f))], findings);
        Assert.Single(findings);
    }

    [Theory]
    [InlineData(3.0003f, 1e-3, 0, true)]
    [InlineData(3.0040f, 1e-3, 0, false)]
    [InlineData(3.0040f, 1e-3, 2e-3, true)]
    [InlineData(float.NaN, 1e-3, 1, false)]
    [InlineData(float.PositiveInfinity, 1e-3, 1, false)]
    public void Closeness_follows_its_formula(float value, double relative, double absolute, bool passes)
    {
        var findings = new List<string>();
        TensorComparison.Close([(A, Change(A, 2, value))], new Tolerance(relative, absolute, 0), findings);
        Assert.Equal(passes, findings.Count == 0);
    }

    [Fact]
    public void Nan_agrees_with_nan_and_an_infinity_with_itself()
    {
        var odd = LoadedTensor.Float32("odd", [2], float.NaN, float.NegativeInfinity);
        var findings = new List<string>();
        TensorComparison.Close([(odd, odd)], new Tolerance(0, 0, 0), findings);
        Assert.Empty(findings);
        TensorComparison.Close([(odd, LoadedTensor.Float32("odd", [2], float.NaN, float.PositiveInfinity))], new Tolerance(1, 1, 0), findings);
        Assert.Single(findings);
    }

    [Theory]
    [InlineData(0.25, true)]
    [InlineData(0.24, false)]
    public void Outliers_count_over_all_tensors_together(double fraction, bool passes)
    {
        var c = LoadedTensor.Float32("c", [4], 1f, 1f, 1f, 1f);
        var findings = new List<string>();
        TensorComparison.Close([(A, Change(Change(A, 0, 9f), 1, 9f)), (c, c)], new Tolerance(1e-3, 1e-3, fraction), findings);
        Assert.Equal(passes, findings.Count == 0);
    }

    [Fact]
    public void A_pattern_leaves_out_only_what_it_finds()
    {
        List<(LoadedTensor Expected, LoadedTensor Actual)> pairs = [(A, A), (B, B)];
        Assert.Equal("b", Assert.Single(pairs.Without("^a$")).Expected.Name);
        Assert.Equal("a", Assert.Single(pairs.Only("^a$")).Expected.Name);
        Assert.Equal(2, pairs.Without(null).Count);
    }

    internal static LoadedTensor Change(LoadedTensor tensor, int element, float value)
    {
        var bytes = tensor.Bytes.ToArray();
        BitConverter.GetBytes(value).CopyTo(bytes, element * 4);
        return tensor with { Bytes = bytes };
    }

    internal static SortedDictionary<string, LoadedTensor> Set(params LoadedTensor[] tensors) =>
        new(tensors.ToDictionary(tensor => tensor.Name), StringComparer.Ordinal);
}
