using System.Runtime.InteropServices;
using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

[Trait("Suite", "models")]
public class TrainedModelLogitsTests
{
    private const double Tolerance = 1e-3;

    public static TheoryData<string, string> Models
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var size in TrainedModels.Sizes)
                foreach (var file in Directory.GetFiles(Path.Combine(TrainedModels.References, $"logits-{size}"), "*.safetensors").Order(StringComparer.Ordinal))
                    if (TrainedModels.IsPresent(size, Path.GetFileNameWithoutExtension(file)))
                        data.Add(size, Path.GetFileNameWithoutExtension(file));
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Logits_of_short_prompts_are_those_of_the_reference(string size, string name)
    {
        using var reference = Checkpoint.Open(Path.Combine(TrainedModels.References, $"logits-{size}", name + ".safetensors"));
        using var model = LanguageModel.Open(TrainedModels.Folder(size, name), 2);
        var prompts = reference.Tensors.Where(tensor => tensor.Name.EndsWith(".input_ids", StringComparison.Ordinal)).Select(tensor => tensor.Name[..^".input_ids".Length]).ToList();
        Assert.NotEmpty(prompts);
        foreach (var prompt in prompts)
        {
            var ids = Array.ConvertAll(Read<long>(reference, prompt + ".input_ids"), id => (int)id);
            var logits = Read<float>(reference, prompt + ".logits");
            var trace = model.Trace([ids], new TraceOptions())[0];
            Close.Equal(logits, trace.Logits.AsSpan(trace.Logits.Length - logits.Length), Tolerance, prompt);
        }
    }

    private static T[] Read<T>(Checkpoint checkpoint, string name) where T : unmanaged
    {
        var tensor = checkpoint.Get(name);
        var values = new T[tensor.ElementCount];
        checkpoint.Read(tensor, 0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }
}
