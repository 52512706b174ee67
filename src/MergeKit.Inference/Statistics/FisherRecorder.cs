using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Gradients;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Statistics;

/// <summary>The diagonal of the Fisher information, F_j = E[(d ln p(y | x) / d w_j)^2], for every stored tensor (Matena and Raffel 2022, arXiv 2111.09832,
/// equation 4). An example is a prefix x of a text with a next token y; F is the mean over tokens.</summary>
/// <remarks>With y drawn from the model, as the definition asks, gradients of different positions are uncorrelated and have mean 0, so that the square of
/// a sequence's summed gradient has the same expectation as the sum of its tokens' squares: one way back per sequence is enough (the estimator of Liu et
/// al. 2023, arXiv 2305.14342). With y from the text (the empirical Fisher) that does not hold, and an example is then the whole sequence, or every
/// token by itself, with one way back each.</remarks>
internal static class FisherRecorder
{
    private const string LabelStream = "fisher labels";

    /// <summary>Records. The model is disposed of.</summary>
    public static RecordedStatistics Record(ModelInput input, IEnumerable<ReadOnlyMemory<int>> windows, StatisticsOptions options)
    {
        var source = new CheckpointWeightSource(input.Checkpoint);
        var stored = StoredNames(input, source, options);
        GradientBackend? backend = null;
        using var engine = Engine.Create(input.Config!, source, encoder: false, (_, _, network, _) =>
            backend = new GradientBackend(network, stored.ToDictionary(pair => pair.Key, pair => Count(source, pair.Value)), options.Threads));
        var (tokens, examples) = (0L, 0L);
        foreach (var ids in windows)
        {
            tokens += ids.Length;
            if (ids.Length < 2)
                continue;
            AddWindow(engine, backend!, ids, examples, options);
            examples += ids.Length - 1;
        }

        if (examples == 0)
            throw new InputException("nothing was recorded: there is no sequence of at least two tokens");
        return new RecordedStatistics([.. stored.OrderBy(pair => pair.Value, StringComparer.Ordinal).Select(pair => Mean(backend!.Parameters, pair.Key, pair.Value, source, examples))], tokens);
    }

    /// <summary>Stored names by those of the architecture, of the tensors that are wanted. The bias that only steers a router's choice has no gradient.</summary>
    private static Dictionary<string, string> StoredNames(ModelInput input, CheckpointWeightSource source, StatisticsOptions options)
    {
        var known = ArchitectureCatalog.Get(input.Config!).Weights(input.Config!)
            .SelectMany(spec => spec.AllNames.Select(name => (name, spec.Name))).DistinctBy(pair => pair.name).ToDictionary(pair => pair.name, pair => pair.Name);
        var tied = ArchitectureCatalog.Get(input.Config!).Network(input.Config!).Head;
        var wanted = input.Checkpoint.Tensors.Where(tensor => tensor.DType.IsFloat() && options.Filter?.IsMatch(tensor.Name) != false)
            .Where(tensor => !(tied.Tied && tensor.Name == tied.Output.Name + ".weight")).ToList();
        if (wanted.Count == 0)
            throw new InputException("nothing was recorded: the model has no tensors of the selected names");
        StatisticsRecorder.RequireMemory(2 * sizeof(float) * wanted.Sum(tensor => tensor.ElementCount));
        return wanted.DistinctBy(tensor => known.GetValueOrDefault(tensor.Name, tensor.Name)).ToDictionary(tensor => known.GetValueOrDefault(tensor.Name, tensor.Name), tensor => tensor.Name);
    }

    private static long Count(CheckpointWeightSource source, string name) => source.TryGet(name, out var tensor) ? tensor.Shape.Aggregate(1L, (product, extent) => product * extent) : 0;

    private static void AddWindow(Engine engine, GradientBackend backend, ReadOnlyMemory<int> ids, long before, StatisticsOptions options)
    {
        using (engine.Enter())
        {
            using var cache = backend.CreateCache();
            var hidden = engine.Transformer.Forward(ForwardBatch.Continue([new SequencePart(cache, ids)]));
            var random = new CounterRandom(options.Seed, LabelStream, 0);
            LabelChoice choose = options.LabelsOfText ? (row, _) => ids.Span[row + 1] : (row, probabilities) => Draw(random, before + row, probabilities);
            int[] rows = [.. Enumerable.Range(0, ids.Length - 1)];
            foreach (var example in options.PerToken ? rows.Chunk(1) : [rows])
            {
                if (!double.IsFinite(backend.Back(engine.Weights.Head, hidden, example, choose)))
                    throw new InputException($"the log-probability of tokens {before + example[0] + 1} and following is no finite number: the model gives no Fisher information on this text");
                backend.TakeSquares();
            }
        }
    }

    /// <summary>An id drawn with the given probabilities; a pure function of the seed and the position among all tokens.</summary>
    private static int Draw(CounterRandom random, long position, ReadOnlySpan<float> probabilities)
    {
        Span<uint> word = stackalloc uint[1];
        random.Fill(position, word);
        var (target, sum) = ((word[0] + 0.5) / 4294967296.0, 0.0);
        for (var id = 0; id < probabilities.Length; id++)
            if ((sum += probabilities[id]) > target)
                return id;
        return TensorPrimitives.IndexOfMax(probabilities);
    }

    private static FloatTensor Mean(ParameterGradients parameters, string name, string stored, CheckpointWeightSource source, long examples)
    {
        var values = parameters.Squares(name);
        TensorPrimitives.Multiply(values, (float)(1.0 / examples), values);
        if (!float.IsFinite(TensorPrimitives.Sum<float>(values)))
            throw new InputException($"tensor '{stored}': its gradients are no finite numbers");
        return source.TryGet(stored, out var tensor) ? new FloatTensor(stored, tensor.Shape, values) : throw new InvalidOperationException($"'{stored}' is gone");
    }
}
