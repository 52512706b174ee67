namespace MergeKit.Cli.Tests.Conformance;

public class MixtralLayoutTests
{
    [Fact]
    public void Classic_experts_become_gate_rows_then_up_rows_and_stacked_down_projections()
    {
        var findings = new List<string>();
        var fused = MixtralLayout.Fuse(TensorComparisonTests.Set([.. Classic(2)]), findings);
        Assert.Empty(findings);
        Assert.Equal(["model.layers.0.mlp.experts.down_proj", "model.layers.0.mlp.experts.gate_up_proj", "model.layers.0.mlp.gate.weight"], fused.Keys);
        var gateUp = fused["model.layers.0.mlp.experts.gate_up_proj"];
        Assert.Equal([2, 2, 3], gateUp.Shape);
        Assert.Equal([10.0, 10, 10, 30, 30, 30, 11, 11, 11, 31, 31, 31], gateUp.Values());
        Assert.Equal([2, 3, 1], fused["model.layers.0.mlp.experts.down_proj"].Shape);
        Assert.Equal([20.0, 20, 20, 21, 21, 21], fused["model.layers.0.mlp.experts.down_proj"].Values());
    }

    [Fact]
    public void Fused_tensors_stay_as_they_are()
    {
        var fused = TensorComparisonTests.Set(LoadedTensor.Float32("model.layers.0.mlp.experts.down_proj", [1, 1, 1], 1f));
        Assert.Equal(fused, MixtralLayout.Fuse(fused, []));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    public void An_incomplete_set_of_experts_is_found(int left)
    {
        var findings = new List<string>();
        var tensors = Classic(2).ToList();
        tensors.RemoveAt(left);
        MixtralLayout.Fuse(TensorComparisonTests.Set([.. tensors]), findings);
        Assert.Single(findings);
    }

    private static IEnumerable<LoadedTensor> Classic(int experts)
    {
        for (var e = 0; e < experts; e++)
        {
            var stem = $"model.layers.0.block_sparse_moe.experts.{e}.w";
            yield return LoadedTensor.Float32(stem + "1.weight", [1, 3], 10 + e, 10 + e, 10 + e);
            yield return LoadedTensor.Float32(stem + "2.weight", [3, 1], 20 + e, 20 + e, 20 + e);
            yield return LoadedTensor.Float32(stem + "3.weight", [1, 3], 30 + e, 30 + e, 30 + e);
        }

        yield return LoadedTensor.Float32("model.layers.0.block_sparse_moe.gate.weight", [2, 3], 1, 2, 3, 4, 5, 6);
    }
}
