using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Checking;

/// <summary>A model folder opened with its tokenizer.</summary>
public sealed class ModelFolder : IDisposable
{
    private ModelFolder(LanguageModel model, Tokenizer tokenizer) => (Model, Tokenizer) = (model, tokenizer);

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>Its tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>What was odd but usable.</summary>
    public IEnumerable<Problem> Warnings => Model.Warnings.Concat(Tokenizer.Problems);

    /// <summary>The pair as evaluation wants it.</summary>
    public EvaluatedModel ForEvaluation()
    {
        var encoder = new TokenizerEncoder(Tokenizer);
        return new EvaluatedModel(Model, encoder, encoder.Id);
    }

    /// <summary>Opens a folder under a name and checks that model and tokenizer belong together.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="name">What to call the model.</param>
    /// <param name="threads">Workers on the CPU.</param>
    /// <param name="device">Where the model runs.</param>
    /// <exception cref="InputException">One of them cannot be used, or the tokenizer has ids that the model has no row for.</exception>
    public static ModelFolder Open(string folder, string name, int threads, DeviceChoice device = default)
    {
        if (!Directory.Exists(folder))
            throw new InputException($"{folder}: there is no such model folder");
        var tokenizer = Tokenizer.Load(folder);
        var config = ModelConfig.Read(folder);
        ArchitectureCatalog.Get(config);
        var model = LanguageModel.FromSource(name, config, new CheckpointWeightSource(Checkpoint.Open(folder)), threads, device);
        if (tokenizer.VocabularySize <= model.VocabularySize)
            return new ModelFolder(model, tokenizer);
        model.Dispose();
        throw new InputException(
            $"{folder}: tokenizer.json has ids up to {tokenizer.VocabularySize - 1}, but the model has only {model.VocabularySize} rows in its embedding");
    }

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
