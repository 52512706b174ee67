using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Added;
using MergeKit.Core.Tokenization.Decoders;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Models;
using MergeKit.Core.Tokenization.PostProcessors;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Tokenization;

/// <summary>A tokenizer as a <c>tokenizer.json</c> of the Hugging Face tokenizers format describes it: added tokens are cut out,
/// the rest is normalized, cut into words (pre-tokenizer), turned into tokens (model) and given special tokens
/// (post-processor). Immutable; any number of threads may encode and decode at once.</summary>
/// <remarks>The sections <c>truncation</c> and <c>padding</c> are not applied, on purpose: a text is never cut or padded. Offsets
/// are not computed. Unpaired surrogates in a text count as U+FFFD. Character data are those that the library has:
/// normalization, scripts and accents of Unicode 9, punctuation of Unicode 8, general categories of the runtime.</remarks>
public sealed class Tokenizer
{
    private readonly TokenizerPipeline _pipeline;
    private readonly Lazy<JsonObject> _json;
    private readonly RoleTokens _roles;

    private Tokenizer(TokenizerFiles files)
    {
        var problems = new List<Problem>();
        (File, Text) = (files.File, files.Json);
        _pipeline = TokenizerPipeline.Read(files.File, files.Json, problems);
        _json = new Lazy<JsonObject>(() => ReadJson(files));
        var vocabulary = new Dictionary<string, int>(_pipeline.Model.Vocabulary.Ids, StringComparer.Ordinal);
        foreach (var token in _pipeline.Added.Tokens)
            vocabulary[token.Content] = token.Id;
        Vocabulary = vocabulary;
        VocabularySize = 1 + vocabulary.Values.Append(_pipeline.Model.Vocabulary.HighestId).Max();
        Problems = problems;
        _roles = RoleTokens.Read(files.Settings);
        int? Id(string? token) => token is null ? null : TokenToId(token);
        (BosId, EosId, PadId, UnkId) = (Id(_roles.Bos), Id(_roles.Eos), Id(_roles.Pad), Id(_roles.Unknown));
    }

    /// <summary>Where it was read from, for messages.</summary>
    public string File { get; }

    /// <summary>One more than the highest id of the model's vocabulary and the added tokens. Ids below it may be unused.</summary>
    public int VocabularySize { get; }

    /// <summary>All tokens, added ones included, and their ids.</summary>
    public IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>The whole tokenizer.json, as a tree of its own that is read from the text on first use.</summary>
    /// <exception cref="InputException">An object in it has a key twice.</exception>
    public JsonObject Json => _json.Value;

    /// <summary>Warnings and notes about the file: sections not applied, ids that added tokens cannot have.</summary>
    public IReadOnlyList<Problem> Problems { get; }

    /// <summary>The id of <c>bos_token</c> of tokenizer_config.json or special_tokens_map.json; null where there is none.</summary>
    public int? BosId { get; }

    /// <summary>The id of <c>eos_token</c>; null where there is none.</summary>
    public int? EosId { get; }

    /// <summary>The id of <c>pad_token</c>; null where there is none.</summary>
    public int? PadId { get; }

    /// <summary>The id of <c>unk_token</c>; null where there is none.</summary>
    public int? UnkId { get; }

    /// <summary>What decides whether its tokens mean the same as those of another.</summary>
    public TokenizerKind Kind => _pipeline.Kind;

    /// <summary>The text of the file.</summary>
    internal string Text { get; }

    /// <summary>Which tokens begin, end and pad sequences.</summary>
    internal RoleTokens Roles => _roles;

    /// <summary>The added tokens.</summary>
    internal IReadOnlyCollection<AddedToken> AddedTokens => _pipeline.Added.Tokens;

    /// <summary>The added token of this text, or null.</summary>
    internal AddedToken? FindAdded(string token) => _pipeline.Added.Find(token);

    /// <summary>The tokens of one word, spelt as in the vocabulary: nothing but the model sees it.</summary>
    internal int[] EncodeWord(string word)
    {
        var output = new TokenList();
        if (word.Length > 0)
            _pipeline.Model.Tokenize(word, output);
        return output.Ids.ToArray();
    }

    /// <summary>The tokens of the model itself.</summary>
    internal Vocabulary ModelVocabulary => _pipeline.Model.Vocabulary;

    /// <summary>The log-probability of a token of a Unigram model; 0 for other models.</summary>
    internal double Score(int id) => _pipeline.Model is UnigramModel unigram ? unigram.Score(id) : 0;

    /// <summary>The lowest log-probability of a Unigram model; 0 for other models.</summary>
    internal double LowestScore => _pipeline.Model is UnigramModel unigram ? unigram.LowestScore : 0;

    /// <summary>The merges of a byte-pair model in order, read from the text; none for other models.</summary>
    internal IReadOnlyList<TokenMerge> Merges()
    {
        if (Kind.Model != "BPE")
            return [];
        using var document = JsonText.Parse(File, Text);
        return BytePairReader.Merges(new JsonScope(File, "$", document.RootElement).Get("model").Get("merges"));
    }

    /// <summary>Reads a tokenizer from a model folder, or from a tokenizer.json with its neighbours.</summary>
    /// <exception cref="InputException">A file is missing, malformed, or describes a component that is not supported.</exception>
    /// <exception cref="EnvironmentException">A file cannot be read.</exception>
    public static Tokenizer Load(string modelFolderOrTokenizerJson) => new(TokenizerFiles.Read(modelFolderOrTokenizerJson));

    /// <summary>Builds a tokenizer from texts.</summary>
    /// <param name="file">What messages call the file.</param>
    /// <param name="json">The text of a tokenizer.json.</param>
    /// <param name="tokenizerConfigJson">The text of a tokenizer_config.json, which names the special tokens.</param>
    /// <exception cref="InputException">A text is malformed, or describes a component that is not supported.</exception>
    public static Tokenizer Parse(string file, string json, string? tokenizerConfigJson = null) =>
        new(new TokenizerFiles(file, json, tokenizerConfigJson is null ? [] : [(file + " (tokenizer_config.json)", tokenizerConfigJson)]));

    /// <summary>The id of a token given by its text in the vocabulary; null where there is none.</summary>
    public int? TokenToId(string token) => _pipeline.Added.Find(token)?.Id ?? _pipeline.Model.Vocabulary.Find(token);

    /// <summary>The token of an id; null where the id is unused.</summary>
    public string? IdToToken(int id) => _pipeline.Added.Find(id)?.Content ?? _pipeline.Model.Vocabulary.Token(id);

    /// <summary>Whether an id is that of a special token, which decoding may leave out.</summary>
    public bool IsSpecial(int id) => IdToToken(id) is { } token && IsSpecialText(token);

    /// <summary>The token ids of a text. Added tokens that occur in it are recognised, special ones included.</summary>
    /// <param name="text">Any text; unpaired surrogates count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether the post-processor sets its tokens, such as a begin-of-text token.</param>
    /// <exception cref="InputException">The text has parts that the vocabulary cannot express.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true)
    {
        var segments = _pipeline.PostProcessor.Apply([new Segment(_pipeline.Encode(text, false), 0)], addSpecialTokens);
        var ids = new int[segments.Sum(segment => segment.Tokens.Count)];
        var at = 0;
        foreach (var segment in segments)
        {
            segment.Tokens.Ids.CopyTo(ids.AsSpan(at));
            at += segment.Tokens.Count;
        }

        return ids;
    }

    /// <summary>Like <see cref="Encode"/>, with the texts of the tokens and their type ids.</summary>
    public Encoding EncodeWithTokens(string text, bool addSpecialTokens = true) =>
        ToEncoding([new Segment(_pipeline.Encode(text, true), 0)], addSpecialTokens);

    /// <summary>The tokens of two texts as one sequence, with special tokens around and between as the post-processor says.</summary>
    public Encoding EncodePair(string first, string second, bool addSpecialTokens = true) =>
        ToEncoding([new Segment(_pipeline.Encode(first, true), 0), new Segment(_pipeline.Encode(second, true), 1)], addSpecialTokens);

    /// <summary>The text of token ids. Unused ids are passed over.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        var output = new System.Text.StringBuilder();
        var run = OpenDecoder(output);
        foreach (var id in ids)
            if (IdToToken(id) is { } token && !(skipSpecialTokens && IsSpecialText(token)))
                run.Push(token);
        run.Finish();
        return output.ToString();
    }

    /// <summary>A decoder that takes ids one by one.</summary>
    public StreamDecoder CreateStreamDecoder(bool skipSpecialTokens = true) => new(this, skipSpecialTokens);

    internal DecoderRun OpenDecoder(System.Text.StringBuilder output) => Decoders.Decoder.OpenChain(_pipeline.Decoders, output);

    internal bool IsSpecialText(string token) => _pipeline.Added.IsSpecial(token);

    private Encoding ToEncoding(IReadOnlyList<Segment> texts, bool addSpecialTokens)
    {
        var (ids, types, tokens) = (new List<int>(), new List<int>(), new List<string>());
        foreach (var (list, type) in _pipeline.PostProcessor.Apply(texts, addSpecialTokens))
        {
            for (var i = 0; i < list.Count; i++)
            {
                ids.Add(list.Ids[i]);
                types.Add(type);
                tokens.Add(list.TextAt(i) ?? _pipeline.Model.Vocabulary.Token(list.Ids[i]) ?? "");
            }
        }

        return new Encoding(ids, types, tokens);
    }

    private static JsonObject ReadJson(TokenizerFiles files)
    {
        try
        {
            return JsonNode.Parse(files.Json.TrimStart('\uFEFF'))!.AsObject();
        }
        catch (ArgumentException e)
        {
            throw new InputException($"{files.File}: {e.Message}", e);
        }
    }
}
