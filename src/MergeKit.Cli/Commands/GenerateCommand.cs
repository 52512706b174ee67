using System.CommandLine;
using System.Text.Json.Nodes;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Templating;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit generate MODEL --prompt</c>: continues a text, streaming.</summary>
internal static class GenerateCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "The model: a folder, a .gguf file, a cached hub id, model@revision, model+adapter, or the recipe of an ensemble or merge." };
    private static readonly Option<string> Prompt = new("--prompt", "-p") { Description = "The text to continue.", HelpName = "TEXT" };
    private static readonly Option<string> PromptFile = new("--prompt-file") { Description = "A UTF-8 file with the text to continue.", HelpName = "FILE" };
    private static readonly Option<bool> Chat = new("--chat") { Description = "The prompt is a user's message: put it through the model's chat template." };
    private static readonly Option<string> SystemText = new("--system") { Description = "With --chat: the system message.", HelpName = "TEXT" };
    private static readonly Option<int> Limit = new("--max-tokens", "-n") { Description = "The most tokens to draw.", DefaultValueFactory = _ => 128, HelpName = "N" };
    private static readonly Option<float> Temperature = new("--temperature") { Description = "0 is greedy.", DefaultValueFactory = _ => 0, HelpName = "T" };
    private static readonly Option<int> TopK = new("--top-k") { Description = "Only the k most probable tokens; 0 for all.", HelpName = "K" };
    private static readonly Option<float> TopP = new("--top-p") { Description = "Only the most probable tokens up to this mass.", DefaultValueFactory = _ => 1, HelpName = "P" };
    private static readonly Option<float> MinP = new("--min-p") { Description = "Only tokens at least this share as probable as the best.", HelpName = "P" };
    private static readonly Option<float> Penalty = new("--repetition-penalty") { Description = "Above 1 makes repetition less likely.", DefaultValueFactory = _ => 1, HelpName = "X" };
    private static readonly Option<bool> IgnoreEnd = new("--ignore-eos") { Description = "Go on after an end-of-sequence token." };

    private static readonly Option<bool> NoBos = new("--no-bos") { Description = "Put no beginning-of-sequence token before the prompt, if the tokenizer does not do it itself." };

    public static Command Create()
    {
        var command = new Command("generate", "Continue a text with a model.")
        {
            Model, Prompt, PromptFile, Chat, SystemText, Limit, Temperature, TopK, TopP, MinP, Penalty, CommonOptions.Seed, IgnoreEnd, NoBos, CommonOptions.Threads,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var folder = CommonOptions.ResolveModel(parsed, parsed.GetValue(Model)!);
        var sampler = new Sampler(new SamplerOptions
        {
            Temperature = parsed.GetValue(Temperature),
            TopK = parsed.GetValue(TopK),
            TopP = parsed.GetValue(TopP),
            MinP = parsed.GetValue(MinP),
            RepetitionPenalty = parsed.GetValue(Penalty),
            Seed = parsed.GetValue(CommonOptions.Seed),
        });
        using (var interrupt = new Interrupt())
        {
            using var opened = ModelOptions.Open(parsed, folder, error, interrupt.Token);
            var prompt = PromptIds(parsed, opened);
            var stream = opened.OpenText();
            var ends = parsed.GetValue(IgnoreEnd) ? new HashSet<int>() : opened.EndIds();
            var reason = new Generator(opened.Model, sampler, ends).Run(prompt, parsed.GetValue(Limit), id =>
            {
                output.Write(stream.Append(id));
                output.Flush();
            }, interrupt.Token);
            output.WriteLine(stream.Flush());
            if (reason == StopReason.ContextFull)
                error.WriteLine($"note: stopped because the context of {opened.Model.MaxLength} tokens is full");
            ProblemPrinter.Print(opened.Remarks(), error);
        }

        return ExitCodes.Done;
    }

    private static int[] PromptIds(ParseResult parsed, OpenedModel model)
    {
        var text = ModelOptions.Text(parsed, Prompt, PromptFile);
        if (!parsed.GetValue(Chat))
            return WithBos(model.Encoder.Encode(text, addSpecialTokens: true), parsed.GetValue(NoBos) ? null : model.Encoder.BosId);
        var template = (model.Folder is { } folder ? ChatTemplate.Load(folder) : null)
            ?? throw new InputException($"{model.Folder ?? model.Model.Name}: has no chat template; leave out --chat");
        var messages = new JsonArray();
        if (parsed.GetValue(SystemText) is { } system)
            messages.Add(new JsonObject { ["role"] = "system", ["content"] = system });
        messages.Add(new JsonObject { ["role"] = "user", ["content"] = text });
        return model.Encoder.Encode(template.Render(System.Text.Json.JsonSerializer.SerializeToElement(messages), addGenerationPrompt: true), addSpecialTokens: false);
    }

    /// <summary>A text begins with the tokenizer's BOS, as documents did in training, also where the tokenizer does not put it there itself.</summary>
    private static int[] WithBos(int[] ids, int? bos) => bos is { } id && (ids.Length == 0 || ids[0] != id) ? [id, .. ids] : ids;
}
