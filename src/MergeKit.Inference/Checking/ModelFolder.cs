using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Inputs;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Checking;

/// <summary>A model folder opened with its tokenizer.</summary>
public sealed class ModelFolder : IDisposable
{
    private readonly IReadOnlyList<Problem> _warnings;

    private ModelFolder(string folder, LanguageModel model, Tokenizer tokenizer, IReadOnlyList<Problem> warnings) =>
        (Folder, Model, Tokenizer, _warnings) = (folder, model, tokenizer, warnings);

    /// <summary>The folder that holds tokenizer, templates and generation settings.</summary>
    public string Folder { get; }

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>Its tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>What was odd but usable.</summary>
    public IEnumerable<Problem> Warnings => [.. _warnings, .. Model.Warnings, .. Tokenizer.Problems];

    /// <summary>The pair as evaluation wants it.</summary>
    public EvaluatedModel ForEvaluation()
    {
        var encoder = new TokenizerEncoder(Tokenizer);
        return new EvaluatedModel(Model, encoder, encoder.Id);
    }

    /// <summary>Opens a model under a name and checks that model and tokenizer belong together.</summary>
    /// <param name="model">A folder, a .gguf file, a hub id in the local cache, <c>model@revision</c> or <c>model+adapter</c>.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="threads">Workers.</param>
    /// <param name="share">Where given, stands between the checkpoint's tensors and the model.</param>
    /// <exception cref="InputException">One of them cannot be used, or the tokenizer has ids that the model has no row for.</exception>
    public static ModelFolder Open(string model, string name, int threads, Func<IWeightSource, IWeightSource>? share = null)
    {
        var input = ModelInput.Open(model);
        try
        {
            ArchitectureCatalog.Get(input.Config!);
            var tokenizer = Tokenizer.Load(input.Folder);
            IWeightSource source = new CheckpointWeightSource(input.Checkpoint);
            var language = LanguageModel.FromSource(name, input.Config!, share?.Invoke(source) ?? source, threads);
            if (tokenizer.VocabularySize <= language.VocabularySize)
                return new ModelFolder(input.Folder, language, tokenizer, input.Checkpoint.Warnings);
            language.Dispose();
            throw new InputException(
                $"{model}: tokenizer.json has ids up to {tokenizer.VocabularySize - 1}, but the model has only {language.VocabularySize} rows in its embedding");
        }
        catch
        {
            input.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
