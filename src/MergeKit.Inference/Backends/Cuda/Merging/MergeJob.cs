using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>One output tensor with the rows that describe it to the kernels.</summary>
internal sealed class MergeJob
{
    private MergeJob(TensorJob job, MergeFormula formula, IReadOnlyList<ResidentTensor> sources)
    {
        (Job, Formula) = (job, formula);
        Order = formula switch
        {
            Arc arc => [arc.A, arc.B],
            TaskVectorSum sum => [sum.BaseIndex, .. sum.Parts.Select(part => part.Source)],
            _ => [.. Enumerable.Range(0, sources.Count)],
        };
        Sources = [.. Order.Select(i => new MergeSourceRow { Data = sources[i].Pointer, Type = TypeCode(sources[i].Type), Factor = 1 })];
        Cuts = new MergeCutRow[2 * Sources.Length];
        if (formula is WeightedSum linear)
            for (var i = 0; i < Sources.Length; i++)
                Sources[i].Factor = linear.Factors[i];
        if (formula is TaskVectorSum vectors)
            for (var i = 0; i < vectors.Parts.Count; i++)
                Describe(vectors.Parts[i], ref Sources[1 + i], Cuts.AsSpan(2 * (1 + i), 2));
    }

    /// <summary>What is made.</summary>
    public TensorJob Job { get; }

    /// <summary>How.</summary>
    public MergeFormula Formula { get; }

    /// <summary>Sources in the order of the rows: the base of task vectors first.</summary>
    public IReadOnlyList<int> Order { get; }

    /// <summary>One row per source.</summary>
    public MergeSourceRow[] Sources { get; }

    /// <summary>Two rows per source.</summary>
    public MergeCutRow[] Cuts { get; }

    /// <summary>The job on the device, or why it cannot be done there.</summary>
    public static (MergeJob? Made, string? Refusal) Make(TensorJob job, ulong seed, ResidentParents parents, CudaDevice device)
    {
        if (job.Method.AsFormula(job, seed) is not { } formula)
            return (null, $"method '{job.Method.Description.Name}' has no GPU kernel");
        if (job.Count == 0 || job.Sources.Count > MergeKernels.MostSources || formula is TaskVectorSum { Parts.Count: 0 })
            return (null, $"{job.Sources.Count} sources ({MergeKernels.MostSources} at most on the GPU)");
        if (job.OutputType is not (DType.F32 or DType.BF16 or DType.F16))
            return (null, $"results of type {job.OutputType.TorchName()} are made on the CPU");
        var sources = job.Sources.Select(source => parents.Find(source.Data)).ToList();
        if (sources.Any(source => source is null))
            return (null, "tensors that are put together from others are merged on the CPU");
        if (formula is TaskVectorSum sum && sum.Parts.Any(part => part.Trim.Rule == TrimRule.RowRanks)
            && (job.Shape.Count != 2 || MergeKernels.RankBytes(job.Shape[1]) > device.SharedBytesPerBlock))
            return (null, $"rows of {(job.Shape.Count == 2 ? job.Shape[1] : 0)} elements are ranked on the CPU");
        return (new MergeJob(job, formula, [.. sources.Select(source => source!.Value)]), null);
    }

    /// <summary>The variant of the kernels for it.</summary>
    public MergeForm FormFor(CudaType? output)
    {
        var types = Sources.Select(source => source.Type).Distinct().ToList();
        var stored = TypeCode(Job.OutputType);
        var form = new MergeForm(
            Sources.Length, types.Count == 1 ? types[0] : 3, 0, 0, false, stored, output is { } type ? (type == CudaType.BFloat16 ? 1 : 0) : stored, 1);
        return Formula is not TaskVectorSum sum ? form : form with
        {
            Scheme = sum.Consensus ? 2 : 1,
            Normalize = sum.Consensus && sum.Normalize,
            Trim = sum.Parts.Select(part => part.Trim.Rule switch { TrimRule.Ranks => 1, TrimRule.Random => 2, TrimRule.RowRanks => 3, _ => 0 }).Max(),
            Cuts = Cuts.Where((cut, i) => i % 2 == 1 && cut.Rank > 0).Any() ? 2 : 1,
        };
    }

    /// <summary>float32 0, bf16 1, float16 2.</summary>
    public static int TypeCode(DType type) => type == DType.BF16 ? 1 : type == DType.F16 ? 2 : 0;

    private void Describe(TaskVectorPart part, ref MergeSourceRow row, Span<MergeCutRow> cuts)
    {
        var trim = part.Trim;
        (row.Amount, row.Factor, row.Weight) = (part.Weight, (float)part.Weight, (float)part.Weight);
        (row.Key, row.Below, row.Density, row.Epsilon) = (trim.Key, trim.Below, trim.Density, trim.Epsilon);
        row.Rule = trim.Rule switch { TrimRule.Everything => MergeSourceRow.Everything, TrimRule.Nothing => MergeSourceRow.Nothing, _ => MergeSourceRow.Trim };
        if (trim.Rule != TrimRule.Ranks)
            return;
        if (trim.DropSmallest > 0)
            cuts[0] = new MergeCutRow { Rank = Job.Count - trim.DropSmallest, Side = trim.LowestIndexStays ? MergeCutRow.KeepLargest : MergeCutRow.DropSmallest };
        if (trim.DropLargest > 0)
            cuts[1] = new MergeCutRow { Rank = trim.DropLargest + 1, Side = MergeCutRow.DropLargest };
    }
}
