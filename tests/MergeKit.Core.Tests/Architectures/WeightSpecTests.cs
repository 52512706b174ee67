using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tests.Architectures;

[Trait("Suite", "engine")]
public class WeightSpecTests
{
    public static TheoryData<string> Cases => [.. EngineSuite.Cases()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_declaration_names_every_stored_tensor_with_its_shape(string name)
    {
        using var checkpoint = Checkpoint.Open(EngineSuite.Folder(name));
        foreach (var form in EngineSuite.ConfigForms)
        {
            var path = Path.Combine(EngineSuite.Folder(name), form);
            var config = ModelConfig.Parse(path, File.ReadAllText(path));
            var architecture = ArchitectureCatalog.Get(config);
            var weights = architecture.Weights(config);
            var known = weights.SelectMany(weight => weight.AllNames).ToHashSet();
            Assert.DoesNotContain(checkpoint.Tensors, tensor => !known.Contains(tensor.Name) && !architecture.IsIgnored(tensor.Name));
            foreach (var weight in weights)
            {
                var stored = weight.AllNames.Select(checkpoint.Find).FirstOrDefault(tensor => tensor is not null);
                Assert.True(stored is not null || weight.Optional, $"{weight.Name} is neither stored nor optional");
                if (stored is not null && weight.Shape is not null)
                    Assert.Equal(weight.Shape, stored.Shape);
            }

            Assert.Equal(weights.Count, weights.Select(weight => weight.Name).Distinct().Count());
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_number_of_layers_can_be_given(string name)
    {
        var config = ModelConfig.Read(EngineSuite.Folder(name));
        var architecture = ArchitectureCatalog.Get(config);
        var weights = architecture.Weights(config, 7);
        Assert.Equal(Enumerable.Range(0, 7), weights.Select(weight => weight.Layer).OfType<int>().Distinct());
    }

    [Fact]
    public void An_unknown_architecture_is_named_with_what_is_supported()
    {
        var config = ModelConfig.Parse("config.json", """{"architectures": ["LamaForCausalLM"], "model_type": "lama"}""");
        Assert.Null(ArchitectureCatalog.Find(config));
        var error = Assert.Throws<InputException>(() => ArchitectureCatalog.Get(config));
        Assert.Contains("LamaForCausalLM", error.Message, StringComparison.Ordinal);
        Assert.Contains("Did you mean 'LlamaForCausalLM'", error.Message, StringComparison.Ordinal);
        Assert.Contains("GPT2LMHeadModel", error.Message, StringComparison.Ordinal);
    }
}
