using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Commands;

/// <summary>Loops over the machine's cores for commands without a worker pool of their own.</summary>
internal static class ParallelWork
{
    /// <summary>A loop over so many threads that stops when cancelled.</summary>
    public static ParallelLoop Loop(int threads, CancellationToken cancellation) => (count, body) =>
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation }, body);
}
