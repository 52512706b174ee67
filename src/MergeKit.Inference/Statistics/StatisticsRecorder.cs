using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Statistics;

/// <summary>Runs a model on texts and records what the methods regmean and fisher want to know of it. Texts stream through in windows; memory does not
/// grow with them.</summary>
public static class StatisticsRecorder
{
    /// <summary>Records.</summary>
    /// <param name="modelText">The model as a text; see <see cref="ModelInput.Open(string)"/>.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="options">What to record.</param>
    /// <param name="progress">Told the tokens seen so far after each window.</param>
    /// <param name="cancellation">Stops.</param>
    /// <exception cref="InputException">The model cannot be run, or nothing was recorded.</exception>
    /// <exception cref="EnvironmentException">There is too little memory.</exception>
    public static RecordedStatistics Record(
        string modelText, IEnumerable<string> texts, StatisticsOptions options, Action<long> progress, CancellationToken cancellation)
    {
        var input = ModelInput.Open(modelText);
        Tokenizer tokenizer;
        int longest;
        try
        {
            longest = ArchitectureCatalog.Get(input.Config!).Network(input.Config!).MaxLength;
            tokenizer = Tokenizer.Load(input.Folder);
        }
        catch
        {
            input.Dispose();
            throw;
        }

        var windows = Windows(texts.SelectMany(text => tokenizer.Encode(text).Chunk(Math.Clamp(options.Window, 1, longest))), options.MostTokens, progress, cancellation);
        return options.Kind == StatisticsKind.PerElement ? FisherRecorder.Record(input, windows, options) : Products(modelText, input, windows, options);
    }

    private static RecordedStatistics Products(string name, ModelInput input, IEnumerable<ReadOnlyMemory<int>> windows, StatisticsOptions options)
    {
        var names = new Dictionary<nint, string>();
        var products = new InputProducts(names, options.Filter);
        using var model = LanguageModel.FromSource(
            name, input.Config!, new NamedWeights(new CheckpointWeightSource(input.Checkpoint), names), network => new RecordingBackend(new CpuBackend(network, options.Threads), products));
        RequireMemory(products.Bytes);
        var tokens = 0L;
        foreach (var ids in windows)
        {
            model.Trace([ids], new TraceOptions(Logits: false));
            tokens += ids.Length;
        }

        return new RecordedStatistics(products.Tensors(), tokens);
    }

    /// <summary>Fails where sums do not fit in memory.</summary>
    internal static void RequireMemory(long bytes)
    {
        var available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (bytes > available)
            throw new EnvironmentException($"the sums take {bytes:N0} bytes, and only {available:N0} are available: record some of the layers at a time (--tensors) into files of one folder");
    }

    private static IEnumerable<ReadOnlyMemory<int>> Windows(IEnumerable<int[]> windows, long most, Action<long> progress, CancellationToken cancellation)
    {
        var tokens = 0L;
        foreach (var ids in windows)
        {
            cancellation.ThrowIfCancellationRequested();
            var take = (int)Math.Min(ids.Length, most - tokens);
            if (take <= 0)
                yield break;
            yield return ids.AsMemory(0, take);
            progress(tokens += take);
        }
    }
}
