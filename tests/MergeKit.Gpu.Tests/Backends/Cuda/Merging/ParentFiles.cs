using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using SafetensorsFile = MergeKit.Core.Checkpoints.Writing.SafetensorsFile;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Merging;

/// <summary>Checkpoints of a base and three models near it, with whatever is unpleasant in them: entries that do not differ, that differ by equal amounts,
/// that are negative zeros, infinite, or no numbers.</summary>
internal static class ParentFiles
{
    public const int Models = 3;

    /// <summary>Writes state dicts <c>m0</c> (the base) to <c>m3</c> or the last; types as given, in turns.</summary>
    public static void Write(string folder, IReadOnlyList<(string Name, long[] Shape)> shapes, IReadOnlyList<DType> types, bool odd, ulong seed, int last = Models)
    {
        for (var model = 0; model <= last; model++)
        {
            var type = types[model % types.Count];
            Directory.CreateDirectory(Path.Combine(folder, $"m{model}"));
            SafetensorsFile.Write(Path.Combine(folder, $"m{model}", "model.safetensors"), [.. shapes.Select(shape => Tensor(shape.Name, shape.Shape, type, model, odd, seed))]);
        }
    }

    /// <summary>Writes whole models.</summary>
    public static void WriteModels(string folder, string config, DType type, ulong seed)
    {
        var parsed = ModelConfig.Parse("config.json", config);
        var tied = ArchitectureCatalog.Get(parsed).Network(parsed).Head.Tied;
        var weights = ArchitectureCatalog.Get(parsed).Weights(parsed).Where(weight => !weight.Optional || (weight.Role == TensorRole.Head && !tied)).ToList();
        Write(folder, [.. weights.Select(weight => (weight.Name, weight.Shape!.ToArray()))], [type], odd: false, seed);
        for (var model = 0; model <= Models; model++)
            File.WriteAllText(Path.Combine(folder, $"m{model}", "config.json"), config);
    }

    /// <summary>A plan of a recipe whose models are <c>m0</c> to <c>m3</c>.</summary>
    public static MergePlan Plan(string folder, string yaml, bool raw = true, ulong seed = 7, IDecomposer? decomposer = null)
    {
        var plan = MergePlanner.Plan(RecipeReader.Parse(Path.Combine(folder, "recipe.yml"), yaml)[0], new PlanOptions { WorkingDirectory = folder, Raw = raw, Seed = seed, Threads = 2, Decomposer = decomposer ?? new CpuDecomposer() });
        Assert.True(plan.IsExecutable, string.Join('\n', plan.Problems));
        return plan;
    }

    /// <summary>A recipe of the base and some models with parameters of their own.</summary>
    public static string Recipe(string method, string types, string global, params string[] models) => $$"""
        merge_method: {{method}}
        {{(method is "linear" ? "" : "base_model: m0")}}
        models:
        {{string.Join('\n', models.Select((parameters, i) => $"- {{model: m{i + 1}, parameters: {{{parameters}}}}}"))}}
        {{(method is "slerp" ? "- {model: m0}" : "")}}
        parameters: {{{global}}}
        {{types}}
        """;

    private static MemoryTensor Tensor(string name, long[] shape, DType type, int model, bool odd, ulong seed)
    {
        var count = (int)shape.Aggregate(1L, (product, extent) => product * extent);
        var (values, own) = (Gpu.Random(count, seed + (ulong)name.Length, 0.05f), Gpu.Random(count, seed + 100 + (ulong)model, 0.002f));
        for (var i = 0; i < count; i++)
        {
            if (model > 0)
                values[i] += i % 5 == model ? 0 : own[i];
            if (odd && i % 997 == 3)
                values[i] = (i / 997 + model) % 6 switch { 0 => float.NaN, 1 => float.PositiveInfinity, 2 => float.NegativeInfinity, 3 => -0f, 4 => 1e-41f, _ => 0f };
        }

        if (name.Contains("norm", StringComparison.Ordinal))
            values = Array.ConvertAll(values, value => 1 + value);
        var bytes = new byte[count * type.Size()];
        TensorCodec.Encode(type, values, bytes);
        return new MemoryTensor(name, type, shape, bytes);
    }
}
