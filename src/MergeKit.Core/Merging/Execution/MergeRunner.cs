using System.Diagnostics;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Merging.Execution;

/// <summary>What to do with an interrupted run's work.</summary>
public enum ResumeMode
{
    /// <summary>Go on if it is the same plan, else discard it.</summary>
    WhenSame,

    /// <summary>Go on; refuse if it is another plan's.</summary>
    Require,

    /// <summary>Discard it.</summary>
    Never,
}

/// <summary>A finished merge.</summary>
/// <param name="Folder">Where it is.</param>
/// <param name="Files">Every file with its length and SHA-256.</param>
/// <param name="Elapsed">Time taken.</param>
/// <param name="Problems">What turned up while merging.</param>
public sealed record MergeResult(string Folder, IReadOnlyList<OutputFile> Files, TimeSpan Elapsed, IReadOnlyList<Problem> Problems);

/// <summary>Carries a plan out: workers write every tensor to its known place; files are flushed, read back and hashed; then published by rename.</summary>
public sealed class MergeRunner(MergePlan plan, MergeProgress progress)
{
    private readonly List<Problem> _problems = [];
    private readonly Lock _gate = new();

    /// <summary>A file of the work folder, written before the run, that stays there until all is finished; null: none.</summary>
    public string? WorkFile { get; init; }

    private IEnumerable<string> WorkFiles => WorkFile is { } name ? [name] : [];

    /// <summary>Runs the plan.</summary>
    /// <param name="output">The folder to make.</param>
    /// <param name="resume">What to do with an interrupted run's work.</param>
    /// <param name="companions">Makes text files to write beside the weights, name to text; it is given the finished but unpublished folder.</param>
    /// <param name="cancellation">Stops cleanly; what is finished can be resumed.</param>
    /// <exception cref="InputException">The plan has errors, or the output folder is not usable.</exception>
    /// <exception cref="EnvironmentException">Disk full, no permission, read error.</exception>
    public MergeResult Run(string output, ResumeMode resume, Func<string, IReadOnlyDictionary<string, string>> companions, CancellationToken cancellation)
    {
        if (!plan.IsExecutable)
            throw new InputException(plan.Problems);
        var watch = Stopwatch.StartNew();
        RequireUnchanged();
        using var folder = OutputFolder.Prepare(output);
        var files = WriteWeights(folder, InputIdentity.Take(plan), resume, cancellation);
        RequireUnchanged();
        WriteSettings(folder);
        foreach (var (name, text) in companions(folder.Partial))
            folder.WriteText(name, text);
        var manifest = OutputManifest.Write(folder, files);
        foreach (var name in WorkFiles)
            OutputFolder.Remove(folder.PathOf(name));
        Journal.Remove(folder);
        folder.Publish();
        return new MergeResult(folder.Final, manifest, watch.Elapsed, _problems);
    }

    private List<OutputFile> WriteWeights(OutputFolder folder, string identity, ResumeMode resume, CancellationToken cancellation)
    {
        using var journal = Journal.Open(folder, identity, resume != ResumeMode.Never, resume == ResumeMode.Require, WorkFiles);
        folder.RemoveAllBut([Journal.FileName, .. WorkFiles, .. plan.Layout!.Shards.Select(shard => shard.FileName)]);
        var shards = new List<ShardFile>();
        try
        {
            foreach (var shard in plan.Layout.Shards)
                shards.Add(new ShardFile(folder, shard));
            (progress.TotalBytes, progress.TotalTensors) = (plan.OutputBytes, plan.Jobs.Count);
            progress.TotalMatrices = plan.Jobs.Sum(job => job.Method.Decompositions(job).Count());
            using (var flusher = new Flusher(shards, progress))
            {
                using var pool = new WorkerPool(plan.Options.Threads, _ => new WorkerBuffers(plan.RowsPerWorker, plan.ChunkElements), cancellation) { Matrices = new(plan.Options.Decomposer, progress) };
                foreach (var shard in shards)
                    for (var position = 0; position < shard.Shard.Tensors.Count; position++)
                        Schedule(pool, journal, shard, position, cancellation);
                pool.Run();
                foreach (var shard in shards)
                    shard.VerifyFront(cancellation);
                flusher.Finish();
            }

            return [.. shards.Select(shard => new OutputFile(shard.Shard.FileName, shard.Shard.Length, shard.Sha256!))];
        }
        finally
        {
            shards.ForEach(shard => shard.Dispose());
        }
    }

    private void Schedule(WorkerPool pool, Journal journal, ShardFile file, int position, CancellationToken cancellation)
    {
        var placed = file.Shard.Tensors[position];
        var job = plan.Jobs[placed.Index];
        pool.Add(worker =>
        {
            if (journal.Done.TryGetValue(placed.Index, out var known) && file.Matches(position, known))
            {
                progress.AddResumed(job.Method.Decompositions(job).Count());
                progress.AddBytes(job.ByteLength);
                file.Complete(position, known);
            }
            else
            {
                var (checksum, notFinite) = new TensorRunner(plan, progress).Make(job, file, position, worker);
                if (notFinite > 0)
                    Report(Problem.Warning($"tensor '{job.Name}': {notFinite} of {job.Count} elements of the result are NaN or infinite"));
                file.Complete(position, checksum);
                journal.Add(placed.Index, checksum);
            }

            progress.AddTensor();
            pool.AddUrgent(_ => file.VerifyFront(cancellation));
        });
    }

    private void WriteSettings(OutputFolder folder)
    {
        if (plan.Layout!.IndexJson is { } index)
            folder.WriteText(ShardLayout.IndexFileName, index);
        if (plan.ConfigJson is { } config)
            folder.WriteText("config.json", config);
        foreach (var (name, source) in plan.Copies)
            folder.CopyFile(name, source);
        foreach (var (name, text) in plan.Texts)
            folder.WriteText(name, text);
    }

    private void RequireUnchanged()
    {
        if (InputIdentity.ChangedFile(plan) is { } changed)
            throw new EnvironmentException($"{changed}: was changed while the merge was using it; nothing was published, run again");
    }

    private void Report(Problem problem)
    {
        lock (_gate)
            _problems.Add(problem);
    }
}
