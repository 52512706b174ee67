using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Sequences of one domain.</summary>
/// <param name="Name">What to call it.</param>
/// <param name="Label">The expert that it ought to go to; -1 where none is known.</param>
/// <param name="Sequences">Token ids.</param>
public sealed record ProbeDomain(string Name, int Label, IReadOnlyList<int[]> Sequences);

/// <summary>Turns prompts and documents into token sequences, each with the tokenizer's begin-of-text token before it where it has one.</summary>
public sealed class ProbeTexts
{
    private readonly Tokenizer _tokenizer;
    private readonly string _begin;
    private readonly int _window;

    /// <summary>Opens a mixture's tokenizer.</summary>
    /// <param name="folder">The folder with its files.</param>
    /// <param name="window">Most tokens of a sequence.</param>
    public ProbeTexts(string folder, int window)
    {
        if (!File.Exists(Path.Combine(folder, "tokenizer.json")))
            throw new InputException($"{folder}: has no tokenizer.json, so prompts and texts cannot be turned into tokens for the gates; gate_mode: random needs none");
        _tokenizer = Tokenizer.Load(folder);
        _begin = _tokenizer.BosId is { } id ? _tokenizer.IdToToken(id) ?? "" : "";
        _window = window;
    }

    /// <summary>The tokens of a prompt, as mergekit takes them: the begin-of-text token's text before it, no further special tokens.</summary>
    public int[] Prompt(string text)
    {
        var ids = _tokenizer.Encode(_begin + text, addSpecialTokens: false);
        return ids.Length > 0 ? ids : throw new InputException($"the prompt '{text}' has no tokens, and the tokenizer no begin-of-text token");
    }

    /// <summary>Documents cut into windows, at most so many tokens; evenly taken from all over the text where there are more.</summary>
    public IReadOnlyList<int[]> Windows(IReadOnlyList<string> documents, int tokens)
    {
        var all = documents.SelectMany(Cut).ToList();
        var total = all.Sum(window => (long)window.Length);
        if (total <= tokens)
            return all;
        var count = Math.Max(1, (int)(all.Count * (double)tokens / total));
        return [.. Enumerable.Range(0, count).Select(i => all[(int)((long)i * all.Count / count)])];
    }

    /// <summary>What each expert of a mixture is for: its held-out text, or its prompts.</summary>
    /// <param name="mixture">The mixture.</param>
    /// <param name="options">Where relative paths start.</param>
    /// <param name="read">Reads a file's documents.</param>
    /// <param name="tokens">Most tokens of a domain.</param>
    public IReadOnlyList<ProbeDomain> Domains(Mixture mixture, PlanOptions options, Func<string, IReadOnlyList<string>> read, int tokens)
    {
        var domains = new List<ProbeDomain>();
        var label = 0;
        foreach (var expert in mixture.Settings.Experts)
        {
            var sequences = expert.Data is { } data ? Windows(read(InputFile.Resolve(data, mixture.RecipeFile, options)), tokens) : [.. expert.Positive.Select(Prompt)];
            if (sequences.Count > 0)
                domains.Add(new ProbeDomain(mixture.ExpertNames[label], expert.Copies == 1 ? label : -1, sequences));
            label += expert.Copies;
        }

        return domains;
    }

    private IEnumerable<int[]> Cut(string document)
    {
        var ids = _tokenizer.Encode(document, addSpecialTokens: false);
        var size = _tokenizer.BosId is null ? _window : _window - 1;
        for (var at = 0; at < ids.Length; at += size)
        {
            var part = ids[at..Math.Min(ids.Length, at + size)];
            yield return _tokenizer.BosId is { } begin ? [begin, .. part] : part;
        }
    }
}
