using System.CommandLine;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit logits MODEL</c>: logits and hidden states of a text in a safetensors file, for comparing with another engine.</summary>
internal static class LogitsCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder, a .gguf file, a cached hub id, model@revision, model+adapter, or the recipe of an ensemble or merge." };
    private static readonly Option<string> Prompt = new("--prompt", "-p") { Description = "The text, encoded with special tokens.", HelpName = "TEXT" };
    private static readonly Option<int[]> Ids = new("--ids") { Description = "Token ids in place of a text.", HelpName = "ID", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The file to write: input_ids [n], logits [n, vocabulary], hidden_0 .. hidden_L-1 [n, hidden] (output of each layer; not of an ensemble).", HelpName = "FILE", Required = true };
    private static readonly Option<bool> NoHidden = new("--no-hidden") { Description = "Leave out the hidden states." };

    public static Command Create()
    {
        var command = new Command("logits", "Write a model's logits and hidden states of a text to a file.") { Model, Prompt, Ids, Out, NoHidden, CommonOptions.Threads };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var folder = CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!);
        var (text, given) = (parsed.GetValue(Prompt), parsed.GetValue(Ids));
        if (text is null == (given is not { Length: > 0 }))
            throw new InputException("give exactly one of --prompt and --ids");
        var threads = parsed.GetValue(CommonOptions.Threads);
        using var opened = text is null && !ModelOpener.IsRecipe(folder) ? null : ModelOptions.Open(parsed, folder, error);
        using var alone = opened is null ? LanguageModel.Open(folder, threads) : null;
        var model = opened?.Model ?? alone!;
        var ids = text is null ? given! : opened!.Encoder.Encode(text, addSpecialTokens: true);
        var trace = Trace(model, ids, withHidden: !parsed.GetValue(NoHidden));
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Out)!);
        SafetensorsFile.Write(path, [.. Tensors(ids, trace, model)]);
        output.WriteLine($"{path}: {ids.Length} tokens, {model.VocabularySize} logits each{(trace.HiddenStates.Count == 0 ? "" : $", {trace.HiddenStates.Count} layers")}");
        return ExitCodes.Done;
    }

    /// <summary>A model of several has no hidden states of its own; its logits are the combined log-probabilities.</summary>
    private static ForwardTrace Trace(ILanguageModel model, int[] ids, bool withHidden)
    {
        if (model is LanguageModel single)
            return single.Trace([ids], new TraceOptions(HiddenStates: withHidden))[0];
        if (ids.Length == 0)
            throw new InputException($"{model.Name}: a sequence has no tokens");
        using var rows = model.Rows([new ScoreRequest(ids.AsMemory(0, 1), (int[])[.. ids.AsSpan(1), ids[^1]])]);
        var logits = new float[checked(ids.Length * model.VocabularySize)];
        rows.Read(0, logits);
        return new ForwardTrace(ids.Length, logits, [], []);
    }

    private static IEnumerable<MemoryTensor> Tensors(int[] ids, ForwardTrace trace, ILanguageModel model)
    {
        yield return MemoryTensor.Of("input_ids", [ids.Length], ids.Select(id => (long)id).ToArray());
        yield return MemoryTensor.Of("logits", [ids.Length, model.VocabularySize], trace.Logits);
        for (var layer = 0; layer < trace.HiddenStates.Count; layer++)
            yield return MemoryTensor.Of($"hidden_{layer}", [ids.Length, trace.HiddenStates[layer].Length / ids.Length], trace.HiddenStates[layer]);
    }
}
