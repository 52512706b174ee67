using System.Text.RegularExpressions;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Statistics;

/// <summary>What to record.</summary>
/// <param name="Window">Tokens of one sequence.</param>
/// <param name="MostTokens">Stop after so many tokens.</param>
/// <param name="Filter">Only weights whose names this finds; null: all.</param>
/// <param name="Threads">Workers.</param>
public sealed record RecorderOptions(int Window, long MostTokens, Regex? Filter, int Threads);

/// <summary>Runs a model on texts and records the products of each linear layer's inputs, for the method regmean. Texts stream through; memory is one
/// in x in matrix in double precision per distinct input.</summary>
public static class StatisticsRecorder
{
    /// <summary>Records.</summary>
    /// <param name="modelText">The model as a text; see <see cref="ModelInput.Open(string)"/>.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="options">What to record.</param>
    /// <param name="progress">Told the tokens seen so far after each window.</param>
    /// <param name="cancellation">Stops.</param>
    /// <returns>The tensors of the statistics file, and the tokens seen.</returns>
    /// <exception cref="InputException">The model cannot be run, or nothing was recorded.</exception>
    public static (IReadOnlyList<MemoryTensor> Tensors, long Tokens) Record(
        string modelText, IEnumerable<string> texts, RecorderOptions options, Action<long> progress, CancellationToken cancellation)
    {
        var input = ModelInput.Open(modelText);
        var names = new Dictionary<nint, string>();
        var products = new InputProducts(names, options.Filter);
        Tokenizer tokenizer;
        try
        {
            ArchitectureCatalog.Get(input.Config!);
            tokenizer = Tokenizer.Load(input.Folder);
        }
        catch
        {
            input.Dispose();
            throw;
        }

        using var model = LanguageModel.FromSource(
            modelText, input.Config!, new NamedWeights(new CheckpointWeightSource(input.Checkpoint), names), network => new RecordingBackend(new CpuBackend(network, options.Threads), products));
        if (products.Bytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)
            throw new EnvironmentException($"the sums take {products.Bytes:N0} bytes, and only {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes:N0} are available: record some of the layers at a time (--tensors) into files of one folder");
        var (window, tokens) = (Math.Clamp(options.Window, 1, model.MaxLength), 0L);
        foreach (var ids in texts.SelectMany(text => tokenizer.Encode(text).Chunk(window)))
        {
            cancellation.ThrowIfCancellationRequested();
            var take = (int)Math.Min(ids.Length, options.MostTokens - tokens);
            if (take <= 0)
                break;
            model.Trace([(ReadOnlyMemory<int>)ids.AsMemory(0, take)], new TraceOptions(Logits: false));
            progress(tokens += take);
        }

        return (products.Tensors(), tokens);
    }
}
