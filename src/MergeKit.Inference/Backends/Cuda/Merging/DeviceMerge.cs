using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda.Merging;

/// <summary>Carries out merges of resident parents straight into the engine's weights, with the bits of the CPU's merge. What has no kernel is merged
/// on the CPU and sent.</summary>
internal sealed class DeviceMerge : IDisposable
{
    /// <summary>So many elements are sent off without waiting for the rest, which is described meanwhile.</summary>
    private const long ElementsPerBatch = 1 << 27;

    private readonly CudaContext _cuda;
    private readonly CudaType _type;
    private readonly MemoryMerge _memory;
    private readonly ResidentParents _parents;
    private readonly MergeWorkspace _work;
    private readonly WeightLandings _landings;
    private readonly Dictionary<string, List<WeightLanding>> _byTensor = new(StringComparer.Ordinal);

    /// <summary>For the weights that were noted while an engine bound the tensors of <paramref name="memory"/>.</summary>
    /// <param name="cuda">The device.</param>
    /// <param name="type">Type of the engine's matrices.</param>
    /// <param name="memory">The host's room for the same tensors: what is merged there, and what vectors are read from.</param>
    /// <param name="landings">Where matrices lie.</param>
    public DeviceMerge(CudaContext cuda, CudaType type, MemoryMerge memory, WeightLandings landings)
    {
        (_cuda, _type, _memory, _landings) = (cuda, type, memory, landings);
        (_parents, _work) = (new ResidentParents(cuda), new MergeWorkspace(cuda));
    }

    /// <summary>Why some tensors of the last merge were made on the CPU, by reason with one of them as an example.</summary>
    public IReadOnlyDictionary<string, string> Refusals { get; private set; } = new Dictionary<string, string>();

    /// <summary>Makes all weights anew; returns how many elements are NaN or infinite.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="queued">Called when all of the device's work is queued.</param>
    /// <param name="cancellation">Stops what is merged on the CPU.</param>
    /// <exception cref="Core.Diagnostics.InputException">The plan makes other tensors; nothing was changed.</exception>
    public long Fill(MergePlan plan, Action? queued = null, CancellationToken cancellation = default)
    {
        _memory.Require(plan);
        _cuda.MakeCurrent();
        Settle();
        _parents.Load(plan);
        var counter = _work.NotFinite.Take(sizeof(ulong));
        _cuda.Stream.Fill(counter, 0, sizeof(ulong));
        var onHost = Queue(plan, counter);
        queued?.Invoke();
        var names = onHost.Select(job => job.Name).ToHashSet(StringComparer.Ordinal);
        var bad = names.Count == 0 ? 0 : _memory.Fill(plan, job => names.Contains(job.Name), cancellation);
        SendFromHost(onHost);
        var counted = new ulong[1];
        _cuda.Stream.Download<ulong>(counter, counted);
        return bad + (long)counted[0];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cuda.MakeCurrent();
        _cuda.Synchronize();
        _work.Dispose();
        _parents.Dispose();
    }

    /// <summary>Finds the tensor of every landing, once.</summary>
    private void Settle()
    {
        if (_landings.Closed)
            return;
        _landings.Closed = true;
        var tensors = _memory.Tensors.OrderBy(tensor => tensor.Data).ToList();
        foreach (var landing in _landings.All)
        {
            var owner = tensors.FindLast(tensor => tensor.Data <= landing.Tensor.Data);
            if (!_byTensor.TryGetValue(owner.Name, out var list))
                _byTensor[owner.Name] = list = [];
            list.Add(landing);
        }
    }

    /// <summary>Queues what the device can make; returns the rest.</summary>
    private List<TensorJob> Queue(MergePlan plan, nint counter)
    {
        var (groups, rest, refusals) = (new Dictionary<MergeForm, List<(MergeJob, MergeTarget)>>(), new List<TensorJob>(), new Dictionary<string, string>());
        foreach (var job in plan.Jobs)
        {
            if (!_byTensor.TryGetValue(job.Name, out var landings))
            {
                rest.Add(job);
                continue;
            }

            var (made, refusal) = MergeJob.Make(job, plan.Options.Seed, _parents, _cuda.Device);
            if (made is null)
            {
                refusals.TryAdd(refusal!, job.Name);
                rest.Add(job);
            }
            else if (landings is [{ Transposed: false } only] && only.Count == job.Count)
            {
                var form = made.FormFor(_type);
                if (!groups.TryGetValue(form, out var group))
                    groups[form] = group = [];
                var columns = only.Alternating ? only.Tensor.Shape[1] : job.Count;
                group.Add((made, new MergeTarget(only.Target, columns, only.Alternating ? 2 * columns : columns)));
                if (made.Formula is not Arc && group.Sum(one => one.Item1.Job.Count) >= ElementsPerBatch)
                {
                    new MergeGroup(_cuda, _work, form, group).Run(counter);
                    groups.Remove(form);
                }
            }
            else
            {
                Detour(made, landings, counter);
            }
        }

        foreach (var (form, jobs) in groups)
            new MergeGroup(_cuda, _work, form, jobs).Run(counter);
        Refusals = refusals;
        return rest;
    }

    /// <summary>Makes a tensor that is turned, or that lies in several pieces, aside and moves it from there.</summary>
    private void Detour(MergeJob job, List<WeightLanding> landings, nint counter)
    {
        var plain = _work.Plain.Take(job.Job.ByteLength);
        new MergeGroup(_cuda, _work, job.FormFor(null), [(job, new MergeTarget(plain, job.Job.Count, job.Job.Count))]).Run(counter);
        var start = _memory.Find(job.Job.Name)!.Value.Data;
        foreach (var landing in landings)
        {
            var (from, rows, columns) = (plain + (landing.Tensor.Data - start), landing.Tensor.Shape[0], landing.Tensor.Shape[1]);
            if (landing.Transposed)
                LoadWeights.Launch(_cuda, _cuda.Stream, job.Job.OutputType, from, landing.Target, _type, columns, rows, rows, transposed: true);
            else
                LoadWeights.Launch(_cuda, _cuda.Stream, job.Job.OutputType, from, landing.Target, _type, rows, columns, landing.Alternating ? 2 * columns : columns, transposed: false);
        }
    }

    private void SendFromHost(List<TensorJob> jobs)
    {
        var landings = jobs.Where(job => _byTensor.ContainsKey(job.Name)).SelectMany(job => _byTensor[job.Name]).ToList();
        if (landings.Count == 0)
            return;
        _cuda.Synchronize();
        using var uploader = new WeightUploader(_cuda, _type);
        foreach (var landing in landings)
            if (landing.Alternating)
                uploader.SendAlternating(landing.Tensor, landing.Target);
            else
                uploader.Send(landing.Tensor, landing.Transposed, landing.Target);
    }
}
