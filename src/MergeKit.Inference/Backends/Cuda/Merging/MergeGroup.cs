using MergeKit.Core.Merging;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>Where a job's result goes: <paramref name="Columns"/> elements of each row, rows <paramref name="Pitch"/> elements apart.</summary>
/// <param name="Target">Address.</param>
/// <param name="Columns">Elements of a row.</param>
/// <param name="Pitch">From one row to the next.</param>
internal readonly record struct MergeTarget(nint Target, long Columns, long Pitch);

/// <summary>Tensors that the same kernels make, all in each launch.</summary>
internal sealed class MergeGroup(CudaContext cuda, MergeWorkspace work, MergeForm form, IReadOnlyList<(MergeJob Job, MergeTarget Target)> jobs)
{
    private MergeKernels.Parameters _parameters;

    /// <summary>Queues everything; waits only where an angle is needed.</summary>
    /// <param name="notFinite">Address of the counter of results that are no finite numbers.</param>
    public void Run(nint notFinite)
    {
        Send(notFinite);
        if (form.Trim == 1)
            Select();
        if (form.Trim == 3)
            Rank();
        if (jobs[0].Job.Formula is Arc)
            Angles();
        else if (jobs.Any(job => job.Job.Formula is TaskVectorSum { Rescale: true }) && jobs.Any(job => job.Job.Sources.Any(source => source.Rule != MergeSourceRow.Everything)))
            Sum(arc: false);
        MergeKernels.LaunchCombine(cuda, form, _parameters);
    }

    private void Send(nint notFinite)
    {
        var tensors = new MergeTensorRow[jobs.Count];
        var owners = new int[checked((int)jobs.Sum(job => Tiles(job.Job)))];
        for (int i = 0, tile = 0; i < tensors.Length; i++)
        {
            var (job, target) = jobs[i];
            tensors[i] = Row(job, target, tile);
            owners.AsSpan(tile, (int)Tiles(job)).Fill(i);
            tile += (int)Tiles(job);
        }

        _parameters = new MergeKernels.Parameters
        {
            Tensors = work.Tensors.Send<MergeTensorRow>(tensors),
            Sources = work.Sources.Send<MergeSourceRow>([.. jobs.SelectMany(job => job.Job.Sources)]),
            Cuts = work.Cuts.Send<MergeCutRow>([.. jobs.SelectMany(job => job.Job.Cuts)]),
            Owners = work.Owners.Send<int>(owners),
            NotFinite = notFinite,
            Tiles = owners.Length,
            Count = jobs.Count,
        };
    }

    private static long Tiles(MergeJob job) => (job.Job.Count + MergeKernels.TileElements - 1) / MergeKernels.TileElements;

    private MergeTensorRow Row(MergeJob job, MergeTarget target, int firstTile)
    {
        var (vector, size) = (MergeKernels.Vector(form.Sources), form.Out == 0 ? sizeof(float) : sizeof(ushort));
        var aligned = target.Target % (vector * size) == 0 && (target.Pitch == target.Columns || (target.Columns % vector == 0 && target.Pitch % vector == 0));
        var (divisor, lambda) = job.Formula switch { WeightedSum sum => (sum.Divisor, 1f), TaskVectorSum sum => (sum.Divisor, sum.Lambda), _ => (1f, 1f) };
        return new MergeTensorRow
        {
            Count = job.Job.Count,
            Target = target.Target,
            Columns = target.Columns,
            Pitch = target.Pitch,
            FirstTile = firstTile,
            Vector = aligned ? 1 : 0,
            Divisor = divisor,
            Lambda = lambda,
        };
    }

    private void Select()
    {
        _parameters.Histograms = work.Histograms.Take(MergeKernels.HistogramBytes(form, jobs.Count));
        _parameters.Ties = work.Ties.Take(2L * _parameters.Tiles * form.Sources * sizeof(uint));
        MergeKernels.LaunchSelect(cuda, form, _parameters);
    }

    private void Rank()
    {
        var bytes = (long)form.Sources * _parameters.Tiles * (MergeKernels.TileElements / 8);
        _parameters.Mask = work.Mask.Take(bytes);
        cuda.Stream.Fill(_parameters.Mask, 0, bytes);
        for (var i = 0; i < jobs.Count; i++)
        {
            var shape = jobs[i].Job.Job.Shape;
            MergeKernels.LaunchRank(cuda, form, shape[0], _parameters with { Tensor = i, Line = checked((int)shape[1]) });
        }
    }

    private void Sum(bool arc)
    {
        _parameters.Partial = work.Partial.Take(2L * _parameters.Tiles * form.Sources * sizeof(double));
        _parameters.Sums = work.Sums.Take(2L * jobs.Count * form.Sources * sizeof(double));
        MergeKernels.LaunchSums(cuda, form, arc, _parameters);
    }

    /// <summary>The angles' sines are taken on the host, so that their bits are those of the CPU's merge.</summary>
    private void Angles()
    {
        Sum(arc: true);
        var sums = new double[4 * jobs.Count];
        cuda.Stream.Download<double>(_parameters.Sums, sums);
        for (var i = 0; i < jobs.Count; i++)
        {
            var job = jobs[i].Job;
            (job.Sources[0].Factor, job.Sources[1].Factor) = ((Arc)job.Formula).Shares(sums.AsSpan(4 * i, 3));
        }

        _parameters.Sources = work.Sources.Send<MergeSourceRow>([.. jobs.SelectMany(job => job.Job.Sources)]);
    }
}
