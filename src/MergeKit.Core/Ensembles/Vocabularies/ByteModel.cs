using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>A model over bytes made of one over tokens: ids 0 to 255 are bytes, <see cref="End"/> ends a text, <see cref="Begin"/> begins one.</summary>
public sealed class ByteModel
{
    /// <summary>The id that ends a text.</summary>
    public const int End = 256;

    /// <summary>The id that begins a text; it has no probability.</summary>
    public const int Begin = 257;

    /// <summary>Number of ids.</summary>
    public const int Size = 258;

    private readonly ILanguageModel _inner;
    private readonly TokenBytesIndex _index;
    private readonly int _first;
    private readonly int? _end;
    private readonly bool _leadingSpace;
    private readonly int _mostCovers;
    private readonly Lock _gate = new();

    private ByteModel(ILanguageModel inner, Tokenizer tokenizer, int mostCovers)
    {
        (_inner, _mostCovers, _end, _leadingSpace) = (inner, mostCovers, tokenizer.EosId, TokenBytes.HasLeadingSpace(tokenizer));
        _index = new TokenBytesIndex(TokenBytes.Of(tokenizer));
        _first = tokenizer.BosId ?? tokenizer.EosId
            ?? throw new InputException($"{tokenizer.File}: names neither a token that begins a text nor one that ends it; the law of a first byte needs one");
    }

    /// <summary>The largest share of the probability of a text that was lost because covers were capped.</summary>
    public double DroppedMass { get; private set; }

    /// <summary>Makes the model.</summary>
    /// <param name="inner">The model over tokens; not disposed of here.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="mostCovers">The most ways to cut the text into tokens that are followed.</param>
    /// <exception cref="InputException">The tokenizer's tokens are not plain bytes.</exception>
    public static (ILanguageModel Model, ByteModel Bytes) Create(ILanguageModel inner, Tokenizer tokenizer, int mostCovers)
    {
        var model = new ByteModel(inner, tokenizer, mostCovers);
        return (new StepwiseModel(inner.Name, Size, inner.MaxLength, () => new Source(model)), model);
    }

    private void Report(double droppedMass)
    {
        lock (_gate)
            DroppedMass = Math.Max(DroppedMass, droppedMass);
    }

    /// <summary>The covers of one sequence, and of the beginning that it was last taken back to: what follows a truncation there need not start over.</summary>
    private sealed class Source : ILawSource
    {
        private readonly ByteModel _model;
        private readonly SyncedSession _session;
        private readonly ByteCovers<float> _empty;
        private readonly List<int> _ids = [], _keptIds = [];
        private ByteCovers<float> _covers, _kept;

        public Source(ByteModel model)
        {
            (_model, _session) = (model, new SyncedSession(model._inner.Open()));
            _empty = new ByteCovers<float>(model._index, Row, model._mostCovers, model._end);
            if (model._leadingSpace)
                _empty.Append((byte)' ');
            _covers = _kept = _empty;
        }

        public void Next(ReadOnlySpan<int> ids, Span<float> logits)
        {
            MoveTo(ids);
            Span<double> law = stackalloc double[End + 1];
            _covers.NextLogProbs(law);
            for (var i = 0; i < law.Length; i++)
                logits[i] = (float)law[i];
            logits[Begin] = float.NegativeInfinity;
            _model.Report(_covers.DroppedMass);
        }

        public void Dispose() => _session.Dispose();

        private void MoveTo(ReadOnlySpan<int> ids)
        {
            var own = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ids);
            if (!ids.StartsWith(own))
            {
                if (!ids.StartsWith(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_keptIds)))
                {
                    _kept = _empty;
                    _keptIds.Clear();
                }

                var common = own.CommonPrefixLength(ids);
                Restore(ids[..Math.Max(common, _keptIds.Count)]);
            }

            Advance(ids[_ids.Count..]);
        }

        /// <summary>Goes to a beginning that will probably be gone back to again, and keeps it.</summary>
        private void Restore(ReadOnlySpan<int> ids)
        {
            _covers = _kept.Copy();
            _ids.Clear();
            _ids.AddRange(_keptIds);
            Advance(ids[_ids.Count..]);
            (_kept, _covers) = (_covers, _covers.Copy());
            _keptIds.Clear();
            _keptIds.AddRange(ids);
        }

        private void Advance(ReadOnlySpan<int> ids)
        {
            if (_covers == _empty || _covers == _kept)
                _covers = _covers.Copy();
            foreach (var id in ids)
            {
                if (id < End)
                    _covers.Append((byte)id);
                _ids.Add(id);
            }
        }

        private ReadOnlyMemory<float> Row(IReadOnlyList<int> tokens)
        {
            var row = new float[_model._inner.VocabularySize];
            _session.Next([_model._first, .. tokens], row);
            return row;
        }
    }
}
