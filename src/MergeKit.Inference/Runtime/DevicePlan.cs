using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;

namespace MergeKit.Inference.Runtime;

/// <summary>The memory that a model needs on a GPU, known before anything is loaded.</summary>
/// <param name="Type">Type of matrices and of the key-value cache.</param>
/// <param name="Weights">Bytes of weights.</param>
/// <param name="Cache">Bytes of keys and values: one sequence of up to 4,096 positions.</param>
/// <param name="Workspace">Bytes of activations, logits and the libraries' own room.</param>
internal sealed record DevicePlan(CudaType Type, long Weights, long Cache, long Workspace)
{
    private const int Positions = 4096;
    private const long Libraries = 512L << 20;

    /// <summary>Bytes of a merge's parents that stay on the device, and of the merge's tables.</summary>
    public long Parents { get; init; }

    /// <summary>Bytes in all.</summary>
    public long Total => Weights + Cache + Workspace + Parents;

    /// <summary>Plans for stored tensors: float32 where they are float32 or wider, else bfloat16.</summary>
    public static DevicePlan For(Architecture architecture, ModelConfig config, NetworkSpec network, IWeightSource source)
    {
        var (elements, type) = (0L, (CudaType?)null);
        foreach (var weight in architecture.Weights(config).Where(weight => weight.Role != TensorRole.Head || !network.Head.Tied))
        {
            var stored = weight.AllNames.Select(name => source.TryGet(name, out var tensor) ? tensor : default).FirstOrDefault(tensor => tensor.Data != 0);
            if (stored.Data == 0)
                continue;
            elements += stored.Shape.Aggregate(1L, (product, extent) => product * extent);
            if (stored.Shape.Count > 1)
                type ??= stored.Type is DType.F32 or DType.F64 ? CudaType.Float32 : CudaType.BFloat16;
        }

        var kind = type ?? CudaType.BFloat16;
        return new DevicePlan(
            kind, elements * kind.Size(), Math.Min(Positions, (long)network.MaxLength) * KvPool.BytesPerPosition(network, kind),
            CudaBackend.PassBytes(network, kind) + Libraries);
    }

    /// <summary>Why it does not fit; null where it does.</summary>
    public string? Shortage(long free, long total) => Total <= free ? null
        : $"{(Parents > 0 ? $"{Gib(Parents)} GiB of the merge's parents, " : "")}{Gib(Weights)} GiB of weights, {Gib(Cache)} GiB of keys and values and {Gib(Workspace)} GiB of workspace do not fit: "
            + $"{Gib(free)} GiB of {Gib(total)} GiB are free";

    private static string Gib(long bytes) => (bytes / (double)(1L << 30)).ToString("F1", System.Globalization.CultureInfo.InvariantCulture);
}
