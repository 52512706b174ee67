using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>A source's elements on the device.</summary>
/// <param name="Pointer">Their address, aligned to 256 bytes.</param>
/// <param name="Type">float32, bf16 or float16.</param>
internal readonly record struct ResidentTensor(nint Pointer, DType Type);

/// <summary>The tensors of a merge's parents on the device, sent once and kept: as they are stored where that is float32, bf16 or float16, else as
/// float32 or as the recipe's narrower <c>dtype</c>.</summary>
internal sealed class ResidentParents(CudaContext cuda) : IDisposable
{
    private const int Alignment = 256, ChunkElements = 1 << 22;
    private readonly Dictionary<Key, ResidentTensor> _tensors = [];
    private readonly List<DeviceBuffer> _owned = [];

    /// <summary>Bytes that the parents of a plan take.</summary>
    public static long BytesOf(MergePlan plan) => Wanted(plan).Sum(source => Padded(source));

    /// <summary>Whether a source can be kept on the device.</summary>
    public static bool CanHold(ITensorSource source) => source is CheckpointSource { Type: var type } && type.IsFloat() && type != DType.F64;

    /// <summary>Sends what a plan's jobs need and is not there yet.</summary>
    public void Load(MergePlan plan)
    {
        var missing = Wanted(plan).Where(source => !_tensors.ContainsKey(KeyOf(source))).ToList();
        if (missing.Count == 0)
            return;
        var block = cuda.Memory.Allocate(missing.Sum(source => Padded(source)), $"{missing.Count} tensors of the merge's parents");
        _owned.Add(block);
        using var uploader = new WeightUploader(cuda, CudaType.Float32);
        var next = block.Pointer;
        foreach (var source in missing)
        {
            Send(uploader, source, next);
            _tensors.Add(KeyOf(source), new ResidentTensor(next, HeldType(source)));
            next += (nint)Padded(source);
        }
    }

    /// <summary>A source's elements; null where they are not here.</summary>
    public ResidentTensor? Find(ITensorSource source) =>
        source is CheckpointSource stored && _tensors.TryGetValue(KeyOf(stored), out var found) ? found : null;

    /// <inheritdoc/>
    public void Dispose() => _owned.ForEach(buffer => buffer.Dispose());

    /// <summary>Vectors are merged on the host: they are few, and the engine reads them there.</summary>
    private static IEnumerable<CheckpointSource> Wanted(MergePlan plan) => plan.Jobs.Where(job => job.Shape.Count > 1)
        .SelectMany(job => job.Sources).Select(source => source.Data).Where(CanHold).Cast<CheckpointSource>().DistinctBy(KeyOf);

    private static bool IsVerbatim(CheckpointSource source) => source is { Tensor.Content: null, Verbatim: not null, Type: DType.F32 or DType.BF16 or DType.F16 };

    private static DType HeldType(CheckpointSource source) =>
        IsVerbatim(source) || (source.Convert is not null && source.Type is DType.BF16 or DType.F16) ? source.Type : DType.F32;

    private static long Padded(CheckpointSource source) => (source.Count * HeldType(source).Size() + Alignment - 1) / Alignment * Alignment;

    private static Key KeyOf(CheckpointSource source) => new(source.Checkpoint, source.Tensor.Name, source.Count, source.Type);

    private static void Send(WeightUploader uploader, CheckpointSource source, nint target)
    {
        var type = HeldType(source);
        if (IsVerbatim(source))
        {
            uploader.SendBytes(source.Checkpoint.Map(source.Tensor).Pointer, source.Count * type.Size(), target);
            return;
        }

        var (values, scratch) = (new float[Math.Min(ChunkElements, source.Count)], new byte[Math.Min(ChunkElements, source.Count) * sizeof(double)]);
        for (long at = 0; at < source.Count; at += values.Length)
        {
            var part = values.AsSpan(0, (int)Math.Min(values.Length, source.Count - at));
            source.Read(at, part, scratch);
            var bytes = scratch.AsSpan(0, part.Length * type.Size());
            TensorCodec.Encode(type, part, bytes);
            uploader.SendBytes(bytes, target + (nint)(at * type.Size()));
        }
    }

    private sealed record Key(Checkpoint Checkpoint, string Name, long Count, DType Type);
}
