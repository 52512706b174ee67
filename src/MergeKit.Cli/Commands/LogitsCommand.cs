using System.CommandLine;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit logits MODEL</c>: logits and hidden states of a text in a safetensors file, for comparing with another engine.</summary>
internal static class LogitsCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder, a .gguf file, a cached hub id, model@revision or model+adapter." };
    private static readonly Option<string> Prompt = new("--prompt", "-p") { Description = "The text, encoded with special tokens.", HelpName = "TEXT" };
    private static readonly Option<int[]> Ids = new("--ids") { Description = "Token ids in place of a text.", HelpName = "ID", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The file to write: input_ids [n], logits [n, vocabulary], hidden_0 .. hidden_L-1 [n, hidden] (output of each layer).", HelpName = "FILE", Required = true };
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
        using var opened = text is null ? null : ModelOptions.Open(folder, threads, error);
        using var alone = text is null ? LanguageModel.Open(folder, threads) : null;
        var model = opened?.Model ?? alone!;
        var ids = text is null ? given! : opened!.Tokenizer.Encode(text);
        var trace = model.Trace([ids], new TraceOptions(HiddenStates: !parsed.GetValue(NoHidden)))[0];
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Out)!);
        SafetensorsFile.Write(path, [.. Tensors(ids, trace, model)]);
        output.WriteLine($"{path}: {ids.Length} tokens, {model.VocabularySize} logits each{(parsed.GetValue(NoHidden) ? "" : $", {trace.HiddenStates.Count} layers")}");
        return ExitCodes.Done;
    }

    private static IEnumerable<MemoryTensor> Tensors(int[] ids, ForwardTrace trace, LanguageModel model)
    {
        yield return MemoryTensor.Of("input_ids", [ids.Length], ids.Select(id => (long)id).ToArray());
        yield return MemoryTensor.Of("logits", [ids.Length, model.VocabularySize], trace.Logits);
        for (var layer = 0; layer < trace.HiddenStates.Count; layer++)
            yield return MemoryTensor.Of($"hidden_{layer}", [ids.Length, trace.HiddenStates[layer].Length / ids.Length], trace.HiddenStates[layer]);
    }
}
