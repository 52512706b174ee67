using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Merging;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Merging;

/// <summary>Merges on the device against the CPU's: every bit.</summary>
public class DeviceMergeTests
{
    private static readonly (string Name, long[] Shape)[] Shapes =
        [("long", [300, 257]), ("even.weight", [64, 512]), ("one", [1, 1]), ("thin", [3, 7]), ("flat", [1, 40003]), ("tall", [901, 2]), ("none", [0, 8]), ("same", [16, 64])];

    /// <summary>Methods with parameters in all their corners.</summary>
    private static readonly (string Method, string Global, string[] Models)[] Cases =
    [
        ("linear", "", ["weight: 0.3", "weight: 0.5", "weight: 1.1"]),
        ("linear", "normalize: false", ["weight: 0.7", "weight: -0.4"]),
        ("linear", "", ["weight: 2"]),
        ("task_arithmetic", "lambda: 0.7", ["weight: 0.3", "weight: 0.5", "weight: -0.2"]),
        ("task_arithmetic", "normalize: true, lambda: 0", ["weight: 0.3", "weight: 0.5"]),
        ("slerp", "t: 0.3", [""]),
        ("slerp", "t: 1", [""]),
        ("ties", "lambda: 1.3", ["weight: 0.3, density: 0.5", "weight: 0.5, density: 0.07", "weight: 0.4, density: 1"]),
        ("ties", "normalize: false, rescale: true", ["weight: 0.3, density: 0.9", "weight: 0.5, density: 0.333"]),
        ("dare_linear", "", ["weight: 0.3, density: 0.5", "weight: 0.5, density: 0.1", "weight: 0.5, density: 0"]),
        ("dare_linear", "rescale: false, normalize: true", ["weight: 0.3, density: 0.5", "weight: 0.5, density: 1"]),
        ("dare_ties", "lambda: 0.5", ["weight: 0.3, density: 0.5", "weight: 0.5, density: 0.7", "weight: 0.1, density: 0.9"]),
        ("breadcrumbs", "", ["weight: 0.3, density: 0.5, gamma: 0.01", "weight: 0.5, density: 0.9, gamma: 0.2", "weight: 0.2, density: 0, gamma: 0.1"]),
        ("breadcrumbs", "rescale: true", ["weight: 0.3, density: 0.6, gamma: 0"]),
        ("breadcrumbs_ties", "normalize: true", ["weight: 0.3, density: 0.5, gamma: 0.03", "weight: 0.5, density: 0.4, gamma: 0.5"]),
        ("della", "", ["weight: 0.3, density: 0.5, epsilon: 0.2", "weight: 0.5, density: 0.7, epsilon: 0.1", "weight: 0.5, density: 1"]),
        ("della_linear", "lambda: 1.1", ["weight: 0.3, density: 0.5, epsilon: 0.2", "weight: 0.4, density: 0"]),
    ];

    public static TheoryData<string> Numbers => new(Cases.Select((one, i) => $"{i} {one.Method}"));

    [Theory]
    [MemberData(nameof(Numbers))]
    public void Every_bit_is_the_CPUs(string number)
    {
        var (method, global, models) = Cases[int.Parse(number.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture)];
        using var gpu = Gpu.Open();
        foreach (var (types, text, odd) in new[]
        {
            (new[] { DType.BF16 }, "", false), ([DType.F32], "", true), ([DType.F16], "dtype: float16", false), ([DType.BF16, DType.F32, DType.F16], "out_dtype: bfloat16", true),
            ([DType.F32], "dtype: bfloat16", false),
        })
        {
            using var folder = new TemporaryFolder();
            ParentFiles.Write(folder.Path, ShapesFor(method), types, odd, 11);
            using var plan = ParentFiles.Plan(folder.Path, ParentFiles.Recipe(method, text, global, models));
            foreach (var type in Enum.GetValues<CudaType>())
                Check(gpu, plan, type, $"{number}, {string.Join('/', types)} {text}");
        }
    }

    [Fact]
    public void Sixteen_sources_are_merged_on_the_device_and_seventeen_on_the_CPU()
    {
        using var gpu = Gpu.Open();
        using var folder = new TemporaryFolder();
        ParentFiles.Write(folder.Path, ShapesFor("ties"), [DType.BF16], odd: false, 5, last: 16);
        foreach (var count in new[] { 9, 15, 16 })
        {
            var models = Enumerable.Range(0, count).Select(i => $"- {{model: m{1 + i}, parameters: {{weight: 0.{10 + i}, density: 0.{1 + i % 9}}}}}").ToList();
            foreach (var method in new[] { "ties", "dare_ties", "breadcrumbs" })
            {
                using var plan = ParentFiles.Plan(folder.Path, $"merge_method: {method}\nbase_model: m0\nmodels:\n{string.Join('\n', models)}\n");
                var refusals = Check(gpu, plan, CudaType.BFloat16, $"{method} of {count}");
                Assert.Equal(count > 15, refusals.Count > 0 && refusals.Keys.Any(reason => reason.Contains("17 sources", StringComparison.Ordinal)));
            }
        }
    }

    [Fact]
    public void Methods_without_a_kernel_are_merged_on_the_CPU_and_named()
    {
        using var gpu = Gpu.Open();
        using var folder = new TemporaryFolder();
        ParentFiles.Write(folder.Path, Shapes, [DType.BF16], odd: false, 5);
        using var plan = ParentFiles.Plan(folder.Path, ParentFiles.Recipe("model_stock", "", "", "", ""));
        Assert.Contains("model_stock", Assert.Single(Check(gpu, plan, CudaType.BFloat16, "model_stock")).Key, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("ties")]
    public void Turned_and_alternating_weights_and_pieces_get_what_the_CPU_sends(string method)
    {
        using var gpu = Gpu.Open();
        using var folder = new TemporaryFolder();
        ParentFiles.Write(folder.Path, [("turned", [130, 77]), ("pairs", [50, 64]), ("odd", [33, 21]), ("pieces", [6, 64])], [DType.F16], odd: false, 5);
        using var plan = ParentFiles.Plan(folder.Path, ParentFiles.Recipe(method, "dtype: float16", "", "weight: 0.3", "weight: 0.6"));
        using var memory = new MemoryMerge(plan);
        memory.Fill(plan);
        foreach (var type in Enum.GetValues<CudaType>())
        {
            using var expected = gpu.Poisoned(40000, type);
            using var actual = gpu.Poisoned(40000, type);
            var landings = new WeightLandings();
            using (var uploader = new WeightUploader(gpu.Cuda, type))
            {
                nint at = 0;
                void Place(string name, bool transposed, bool alternating, int first = 0, int? count = null)
                {
                    var whole = memory.Find(name)!.Value;
                    var tensor = new WeightTensor(whole.Data, whole.Type, whole.Shape);
                    tensor = count is { } rows ? tensor.Rows(first, rows) : tensor;
                    if (alternating)
                        uploader.SendAlternating(tensor, expected.Pointer + at);
                    else
                        uploader.Send(tensor, transposed, expected.Pointer + at);
                    landings.Add(tensor, transposed, actual.Pointer + at, alternating);
                    at += (nint)(type.Size() * (tensor.Shape[0] * tensor.Shape[1] * (alternating ? 2 : 1) + 3)); // later ones are not aligned
                }

                Place("turned", true, false);
                Place("pairs", false, true);
                Place("odd", false, true);
                Place("pieces", false, false, 0, 2);
                Place("pieces", false, false, 2, 4);
            }

            using var empty = new MemoryMerge(plan);
            var moved = new WeightLandings();
            foreach (var landing in landings.All)
            {
                var owner = memory.Tensors.OrderBy(tensor => tensor.Data).Last(tensor => tensor.Data <= landing.Tensor.Data);
                moved.Add(landing.Tensor with { Data = empty.Find(owner.Name)!.Value.Data + (landing.Tensor.Data - owner.Data) }, landing.Transposed, landing.Target, landing.Alternating);
            }

            using var merge = new DeviceMerge(gpu.Cuda, type, empty, moved);
            merge.Fill(plan);
            Assert.Empty(merge.Refusals);
            Assert.Equal(Bytes(gpu, expected), Bytes(gpu, actual));
        }
    }

    /// <summary>TIES keeps nothing of a single entry, which is refused.</summary>
    private static IReadOnlyList<(string Name, long[] Shape)> ShapesFor(string method) => [.. Shapes.Where(shape => method != "ties" || shape.Name != "one")];

    /// <summary>Merges twice on both, the second time over rubbish; returns the refusals.</summary>
    private static IReadOnlyDictionary<string, string> Check(Gpu gpu, MergePlan plan, CudaType type, string what)
    {
        using var cpu = new MemoryMerge(plan);
        using var memory = new MemoryMerge(plan);
        var bad = cpu.Fill(plan);
        var (landings, targets) = (new WeightLandings(), new Dictionary<string, DeviceBuffer>());
        foreach (var tensor in memory.Tensors)
        {
            var count = tensor.Shape.Aggregate(1L, (product, extent) => product * extent);
            targets[tensor.Name] = gpu.Poisoned(count + 8, type);
            landings.Add(new WeightTensor(tensor.Data, tensor.Type, tensor.Shape), false, targets[tensor.Name].Pointer, false);
        }

        using var merge = new DeviceMerge(gpu.Cuda, type, memory, landings);
        for (var round = 0; round < 2; round++)
        {
            Assert.True(bad == merge.Fill(plan), $"{what}: {bad} values are not finite");
            foreach (var tensor in cpu.Tensors)
                Compare(gpu, tensor, targets[tensor.Name], type, what);
            foreach (var target in targets.Values)
                gpu.Cuda.Stream.Fill(target.Pointer, 0xA5, target.Bytes - 8 * type.Size());
        }

        foreach (var target in targets.Values)
            target.Dispose();
        return merge.Refusals;
    }

    private static unsafe void Compare(Gpu gpu, MemoryTensor expected, DeviceBuffer target, CudaType type, string what)
    {
        var count = (int)expected.Shape.Aggregate(1L, (product, extent) => product * extent);
        var values = new float[count];
        TensorCodec.Decode(expected.Type, new ReadOnlySpan<byte>((void*)expected.Data, count * expected.Type.Size()), values);
        var seen = gpu.Read(target, type);
        Assert.All(seen[count..], value => Assert.Equal(uint.MaxValue, BitConverter.SingleToUInt32Bits(value) | (type == CudaType.BFloat16 ? 0xFFFFu : 0)));
        if (type == CudaType.BFloat16)
            TensorCodec.Round(DType.BF16, values);
        for (var i = 0; i < count; i++)
            if (BitConverter.SingleToUInt32Bits(values[i]) != BitConverter.SingleToUInt32Bits(seen[i]) && !(float.IsNaN(values[i]) && float.IsNaN(seen[i])))
                Assert.Fail($"{what} as {type}: element {i} of {count} of '{expected.Name}' is {seen[i]:R}, the CPU makes {values[i]:R}");
    }

    private static byte[] Bytes(Gpu gpu, DeviceBuffer buffer)
    {
        gpu.Cuda.Synchronize();
        var bytes = new byte[buffer.Bytes];
        gpu.Cuda.Stream.Download<byte>(buffer.Pointer, bytes);
        return bytes;
    }
}
