using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Added;
using MergeKit.Core.Tokenization.Decoders;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Models;
using MergeKit.Core.Tokenization.Normalizers;
using MergeKit.Core.Tokenization.PostProcessors;
using MergeKit.Core.Tokenization.PreTokenizers;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Tokenization;

/// <summary>The parts of a tokenizer file, joined: text in, tokens out.</summary>
internal sealed class TokenizerPipeline
{
    private static readonly string[] Sections =
        ["truncation", "padding", "version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"];

    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer _preTokenizer;
    private readonly WordEncoder _encoder;

    private TokenizerPipeline(JsonScope root, List<Problem> problems)
    {
        _normalizer = NormalizerReader.Read(root.Get("normalizer"));
        Model = ModelReader.Read(root.Get("model"));
        Kind = TokenizerKind.Read(root, ModelReader.TypeOf(root.Get("model")));
        Added = AddedVocabulary.Read(root.Get("added_tokens"), Model, _normalizer, problems);
        var steps = PreTokenizerReader.Read(root.Get("pre_tokenizer"));
        // Where bytes become characters last, the encoder does it, so that known words never need it.
        var byteLevel = steps.Count > 0 && steps[^1] is ByteAlphabetPreTokenizer;
        _preTokenizer = new SequencePreTokenizer(byteLevel ? [.. steps.SkipLast(1)] : steps);
        _encoder = new WordEncoder(Model, byteLevel);
        PostProcessor = PostProcessorReader.Read(root.Get("post_processor"));
        Decoders = DecoderReader.Read(root.Get("decoder"));
    }

    /// <summary>The model.</summary>
    public TokenModel Model { get; }

    /// <summary>How its tokens spell text.</summary>
    public TokenizerKind Kind { get; }

    /// <summary>The added tokens.</summary>
    public AddedVocabulary Added { get; }

    /// <summary>What sets special tokens around texts.</summary>
    public PostProcessor PostProcessor { get; }

    /// <summary>The steps of decoding.</summary>
    public IReadOnlyList<Decoder> Decoders { get; }

    /// <summary>Builds the parts that a tokenizer file describes; warnings go to <paramref name="problems"/>.</summary>
    public static TokenizerPipeline Read(string file, string json, List<Problem> problems)
    {
        using var document = JsonText.Parse(file, json);
        var root = new JsonScope(file, "$", document.RootElement);
        if (root.Get("model").Element.ValueKind != JsonValueKind.Object)
            throw root.Get("model").Fail("an object that describes the model");
        if (root.Get("version").OptionalString() is not (null or "1.0"))
            throw root.Get("version").Fail("'1.0'");
        foreach (var member in document.RootElement.EnumerateObject())
            if (!Sections.Contains(member.Name))
                throw new InputException($"{file}: has the unknown section '{member.Name}'; known are {string.Join(", ", Sections)}." +
                    Spelling.Hint(member.Name, Sections));
        foreach (var section in Sections.Take(2))
            if (!root.Get(section).IsMissing)
                problems.Add(Problem.Note($"{file}: the section '{section}' is not applied: texts are never cut or padded"));
        return new TokenizerPipeline(root, problems);
    }

    /// <summary>The tokens of one text, without those of the post-processor.</summary>
    public TokenList Encode(string text, bool keepTexts)
    {
        text = WellFormed.Repair(text);
        var output = new TokenList(keepTexts);
        var sink = new WordSink(_encoder, output);
        var stretches = new List<AddedMatch>();
        if (!Added.Raw.Split(text, stretches))
        {
            EncodeStretch(NormalizedText.Raw(text, true), sink, output);
            return output;
        }

        foreach (var (token, start, end) in stretches)
        {
            if (token is not null)
                output.Add(token.Id, text.AsSpan(start, end - start));
            else
                EncodeStretch(NormalizedText.Raw(text[start..end], start == 0), sink, output);
        }

        return output;
    }

    private void EncodeStretch(NormalizedText raw, WordSink sink, TokenList output)
    {
        var normalized = _normalizer is null ? raw : _normalizer.Apply(raw);
        var stretches = new List<AddedMatch>();
        if (!Added.Normalized.Split(normalized.Text, stretches))
            stretches.Add(new AddedMatch(null, 0, normalized.Text.Length));
        foreach (var (token, start, end) in stretches)
        {
            if (token is not null)
                output.Add(token.Id, normalized.Text.AsSpan(start, end - start));
            else if (start < end)
                _preTokenizer.Split(new Piece(normalized.Text, start, end - start, normalized.Origin), sink);
        }
    }

    private sealed class WordSink(WordEncoder encoder, TokenList output) : IPieceSink
    {
        public void Add(in Piece piece) => encoder.Encode(piece.Span, output);
    }
}
