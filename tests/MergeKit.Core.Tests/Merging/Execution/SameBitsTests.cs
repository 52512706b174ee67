using System.Globalization;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>Every method gives the same bytes for any number of threads and any chunk size, and depends on the seed only if it is random.</summary>
public class SameBitsTests
{
    private static readonly string[] RandomMethods = ["dare_linear", "dare_ties", "della", "della_linear"];

    /// <summary>Of fewer elements the density given here would keep none, which is an error.</summary>
    private const int LeastElements = 2;

    private static readonly (int Threads, int Chunk)[] Settings = [(1, 32768), (2, 32768), (8, 32768), (1, 1), (2, 65536), (8, 16384), (2, 40000), (1, 1 << 20)];

    /// <summary>Sizes beside and beyond chunks and blocks of 16384; a scalar, an empty tensor, one and many chunks.</summary>
    private static readonly long[][] Shapes = [[3, 16384 + 7], [70001], [129, 517], [16384], [16383], [5], [1], [], [300007], [0, 8]];

    public static TheoryData<string, DType, bool> Cases()
    {
        var cases = new TheoryData<string, DType, bool>();
        foreach (var method in MethodCatalog.All)
            foreach (var type in new[] { DType.F32, DType.F16, DType.BF16 })
                foreach (var given in new[] { true, false })
                    cases.Add(method.Description.Name, type, given);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Threads_and_chunks_do_not_matter(string method, DType type, bool parametersGiven)
    {
        using var scratch = TemporaryFolder.InMemory(100_000_000);
        var recipe = WriteModels(scratch, method, type, parametersGiven);
        var wanted = Hash(scratch, recipe, 1, 16384, 3);
        Assert.Equal(Settings.Select(_ => wanted), Settings.Select(setting => Hash(scratch, recipe, setting.Threads, setting.Chunk, 3)));
        if (parametersGiven)
            Assert.Equal(RandomMethods.Contains(method), wanted != Hash(scratch, recipe, 2, 16384, 4));
    }

    [Fact]
    public void Models_of_different_types_give_the_same_bits_too()
    {
        using var scratch = TemporaryFolder.InMemory(100_000_000);
        DType[] types = [DType.F32, DType.F16, DType.BF16];
        for (var i = 0; i < types.Length; i++)
            Model(scratch, i, types[i], LeastElements);
        var recipe = Recipe(scratch, MethodCatalog.Find("ties")!, true);
        Assert.Single(Settings.Select(setting => Hash(scratch, recipe, setting.Threads, setting.Chunk, 0)).Distinct());
    }

    public static TheoryData<string> Methods() => [.. MethodCatalog.All.Select(method => method.Description.Name)];

    [Theory]
    [MemberData(nameof(Methods))]
    public void A_merge_in_memory_has_the_bytes_of_the_written_one(string method)
    {
        using var scratch = TemporaryFolder.InMemory(100_000_000);
        var recipe = WriteModels(scratch, method, DType.BF16, parametersGiven: true);
        using var plan = InProcessMerge.Plan(recipe, new PlanOptions { Threads = 2, Seed = 3 });
        InProcessMerge.Run(plan, scratch.Join("out"), cancellation: TestContext.Current.CancellationToken);
        using var written = Checkpoint.Open(scratch.Join("out"));
        using var memory = new MemoryMerge(plan);
        for (var time = 0; time < 2; time++)
        {
            memory.Fill(plan, TestContext.Current.CancellationToken);
            Assert.Equal(written.Tensors.Count, memory.Tensors.Count);
            Assert.All(memory.Tensors, tensor => Assert.True(Same(written, tensor), tensor.Name));
        }
    }

    private static bool Same(Checkpoint written, MemoryTensor tensor)
    {
        var info = written.Get(tensor.Name);
        return info.DType == tensor.Type && info.Shape.SequenceEqual(tensor.Shape)
            && written.Map(info).Slice(0, (int)info.ByteLength).SequenceEqual(new MappedBytes(tensor.Data, info.ByteLength).Slice(0, (int)info.ByteLength));
    }

    private static string Hash(TemporaryFolder scratch, string recipe, int threads, int chunk, ulong seed)
    {
        var output = scratch.Join("out");
        var result = InProcessMerge.Run(recipe, output, new PlanOptions { Threads = threads, ChunkElements = chunk, Seed = seed });
        Directory.Delete(output, recursive: true);
        return Assert.Single(result.Files, file => file.Name == "model.safetensors").Sha256;
    }

    private static string WriteModels(TemporaryFolder scratch, string method, DType type, bool parametersGiven)
    {
        for (var i = 0; i < 3; i++)
            Model(scratch, i, type, least: parametersGiven ? LeastElements : 0);
        return Recipe(scratch, MethodCatalog.Find(method)!, parametersGiven);
    }

    private static void Model(TemporaryFolder scratch, int seed, DType type, long least) => SyntheticModel.Unknown(
        scratch.Join($"m{seed}"), Shapes.Where(shape => shape.Aggregate(1L, (product, extent) => product * extent) >= least).Select((shape, i) => SyntheticModel.Filled($"block.{i}.weight", type, shape, seed)));

    /// <summary>As many models as the method needs, three where it takes any number, the base among them; parameters without a default always given, others if wanted.</summary>
    private static string Recipe(TemporaryFolder scratch, MergeMethod method, bool all)
    {
        var (least, most) = method.SliceModels;
        var count = most == int.MaxValue ? Math.Max(3, least) : least;
        var models = Enumerable.Range(0, count).Where(i => i > 0 || method.Base != BaseRole.Required)
            .Select(i => $"- model: {scratch.Join($"m{i}")}" + (method.Statistics == StatisticsKind.None ? "" : $"\n  statistics: {scratch.Join($"m{i}")}"));
        var values = method.Description.Parameters.Where(parameter => parameter.DefaultNumber is null || (all && parameter.Type == ParameterTypes.Number))
            .Select(parameter => $"  {parameter.Name}: {Value(parameter).ToString(CultureInfo.InvariantCulture)}").ToList();
        return $"merge_method: {method.Description.Name}\n"
            + (method.Base == BaseRole.Required ? $"base_model: {scratch.Join("m0")}\n" : "")
            + $"models:\n{string.Join('\n', models)}\n"
            + (values.Count > 0 ? $"parameters:\n{string.Join('\n', values)}\n" : "");
    }

    private static double Value(ParameterDescription parameter) => parameter.Name switch
    {
        "density" => 0.55,
        "weight" => 0.7,
        "lambda" => 0.9,
        "scale" => 0.7,
        "k" => 2,
        _ => parameter.DefaultNumber ?? 0.35,
    };
}
