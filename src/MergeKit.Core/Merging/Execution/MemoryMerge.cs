using System.Runtime.InteropServices;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Which type a merge in memory has.</summary>
public enum MemoryPrecision
{
    /// <summary>The plan's output types: the bits of the checkpoint that would be written.</summary>
    AsWritten,

    /// <summary>float32, not rounded to the output types.</summary>
    Float32,
}

/// <summary>One tensor of a merge in memory, row-major without gaps.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Data">Address of the first element, aligned to 64 bytes.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Extent of each axis, outermost first.</param>
public readonly record struct MemoryTensor(string Name, nint Data, DType Type, IReadOnlyList<long> Shape);

/// <summary>The result of a plan without files: one block of memory with every output tensor, allocated once, filled as often as wanted.</summary>
/// <remarks>The tensors are made by the code, in the chunks, that <see cref="MergeRunner"/> uses, so the bits equal those of the written checkpoint.
/// The parents are read from mapped memory.</remarks>
public sealed unsafe class MemoryMerge : IDisposable
{
    private const int Alignment = 64;

    /// <summary>A thread costs more than it brings for less.</summary>
    private const long ElementsPerThread = 1 << 17;

    private readonly Dictionary<string, MemoryTensor> _byName = new(StringComparer.Ordinal);
    private readonly MemoryPrecision _precision;
    private byte* _block;

    /// <summary>Room for the tensors of a plan; their contents are undefined until they are filled.</summary>
    /// <exception cref="InputException">The plan has errors.</exception>
    /// <exception cref="EnvironmentException">There is not enough memory.</exception>
    public MemoryMerge(MergePlan plan, MemoryPrecision precision = MemoryPrecision.AsWritten)
    {
        if (!plan.IsExecutable)
            throw new InputException(plan.Problems);
        _precision = precision;
        Bytes = plan.Jobs.Sum(job => Padded(job));
        try
        {
            _block = (byte*)NativeMemory.AlignedAlloc(checked((nuint)Math.Max(Bytes, Alignment)), Alignment);
        }
        catch (OutOfMemoryException e)
        {
            throw new EnvironmentException($"there is not enough memory for a merge of {Bytes:N0} bytes", e);
        }

        var next = (nint)_block;
        foreach (var job in plan.Jobs)
        {
            _byName.Add(job.Name, new MemoryTensor(job.Name, next, TypeOf(job), job.Shape));
            next += (nint)Padded(job);
        }
    }

    /// <summary>Bytes of the block.</summary>
    public long Bytes { get; }

    /// <summary>Every tensor.</summary>
    public IReadOnlyCollection<MemoryTensor> Tensors => _byName.Values;

    /// <summary>The tensor of that name, or null.</summary>
    public MemoryTensor? Find(string name) => _byName.TryGetValue(name, out var tensor) ? tensor : null;

    /// <summary>Carries out a plan of the same output tensors, over what was held before.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="cancellation">Stops between chunks.</param>
    /// <returns>How many elements are NaN or infinite.</returns>
    /// <exception cref="InputException">The plan has errors, or makes other tensors than the memory was allocated for.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the contents are undefined.</exception>
    public long Fill(MergePlan plan, CancellationToken cancellation = default) => Fill(plan, _ => true, cancellation);

    /// <summary>Makes some of the tensors of a plan of the same output tensors; memory of the others is not touched.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="only">Which to make.</param>
    /// <param name="cancellation">Stops between chunks.</param>
    /// <returns>How many elements are NaN or infinite.</returns>
    /// <exception cref="InputException">The plan has errors, or makes other tensors than the memory was allocated for.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the contents are undefined.</exception>
    public long Fill(MergePlan plan, Func<TensorJob, bool> only, CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(_block is null, this);
        Require(plan);
        var notFinite = 0L;
        var jobs = plan.Jobs.Where(only).ToList();
        var threads = (int)Math.Clamp(jobs.Sum(job => job.Count) / ElementsPerThread, 1, plan.Options.Threads);
        using var pool = new WorkerPool(threads, _ => new WorkerBuffers(plan.RowsPerWorker, plan.ChunkElements), cancellation) { Matrices = new(plan.Options.Decomposer, null) };
        foreach (var job in jobs)
            pool.Add(worker => Interlocked.Add(ref notFinite, Make(job, plan.Options.Seed, worker)));
        pool.Run();
        return notFinite;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_block);
        _block = null;
    }

    private long Make(TensorJob job, ulong seed, Worker worker)
    {
        var (target, size) = (_byName[job.Name].Data, TypeOf(job).Size());
        if (job.Sources[0].Data is var only && job.Method.IsCopy(job) && only.Type == TypeOf(job) && only.Verbatim is { } stored)
        {
            var bytes = stored.Checkpoint.Map(stored.Tensor);
            Buffer.MemoryCopy((void*)bytes.Pointer, (void*)target, job.Count * size, job.Count * size);
            return 0;
        }

        var mapped = job with { OutputType = TypeOf(job), Sources = [.. job.Sources.Select(source => source with { Data = Mapped(source.Data) })] };
        return TensorComputation.Make(mapped, seed, worker, (start, bytes) => bytes.CopyTo(new Span<byte>((byte*)target + start * size, bytes.Length)));
    }

    /// <summary>Tensors that lie in a file as they are; those that are made when they are read (folded adapters, quantised ones) are made each time, so that the bits stay.</summary>
    private static ITensorSource Mapped(ITensorSource data) => data is CheckpointSource { Tensor.Content: null } source ? new MappedSource(source) : data;

    private DType TypeOf(TensorJob job) => _precision == MemoryPrecision.Float32 && job.OutputType.IsFloat() ? DType.F32 : job.OutputType;

    private long Padded(TensorJob job) => checked((job.Count * TypeOf(job).Size() + Alignment - 1) / Alignment * Alignment);

    /// <summary>Fails where a plan makes other tensors than the memory was laid out for.</summary>
    /// <exception cref="InputException">It does, or has errors.</exception>
    public void Require(MergePlan plan)
    {
        if (!plan.IsExecutable)
            throw new InputException(plan.Problems);
        var problems = plan.Jobs.Where(job => !(_byName.TryGetValue(job.Name, out var known) && known.Type == TypeOf(job) && known.Shape.SequenceEqual(job.Shape)))
            .Select(job => Problem.Error($"tensor '{job.Name}' ({job.ShapeText}, {TypeOf(job).TorchName()}) is not what the memory was laid out for"
                + (_byName.TryGetValue(job.Name, out var known) ? $": {TensorInfo.Text(known.Shape)}, {known.Type.TorchName()}" : ": there is no such tensor")))
            .ToList();
        problems.AddRange(_byName.Keys.Except(plan.Jobs.Select(job => job.Name), StringComparer.Ordinal)
            .Select(name => Problem.Error($"the plan makes no tensor '{name}', which the memory was laid out for")));
        if (problems.Count > 0)
            throw new InputException(problems);
    }
}
