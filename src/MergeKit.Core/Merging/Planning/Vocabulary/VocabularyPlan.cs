using MergeKit.Core.Checkpoints;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>A row that a recipe's rule gives to a token.</summary>
/// <param name="Lender">The model that has the row; null: zeros.</param>
/// <param name="Row">The row in it.</param>
internal sealed record RuledRow(LoadedModel? Lender, int Row);

/// <summary>The result's vocabulary, and which rows of each model stand for its tokens.</summary>
public sealed class VocabularyPlan
{
    private readonly Dictionary<LoadedModel, int[]> _own;
    private readonly Dictionary<LoadedModel, Tokenizer> _tokenizers;
    private readonly IReadOnlyDictionary<int, RuledRow> _rules;
    private readonly IReadOnlySet<int> _forced;
    private readonly bool[] _isToken;

    internal VocabularyPlan(
        TokenizerDraft draft, string folder, ModelConfig? sourceConfig, int rows, IReadOnlyList<ModelVocabulary> models, IReadOnlyDictionary<int, RuledRow> rules, IReadOnlySet<int> forced)
    {
        (Draft, Folder, SourceConfig, _rules, _forced) = (draft, folder, sourceConfig, rules, forced);
        _isToken = new bool[rows];
        foreach (var id in draft.Ids.Values)
            _isToken[id] = true;
        _own = models.ToDictionary(model => model.Model, model => Own(model, draft, rows));
        _tokenizers = models.ToDictionary(model => model.Model, model => model.Tokenizer);
    }

    /// <summary>The folder of the model whose tokenizer files the result gets.</summary>
    public string Folder { get; }

    /// <summary>Rows of embedding and head, padding included.</summary>
    public int Rows => _isToken.Length;

    /// <summary>What the change of vocabulary does.</summary>
    public VocabularyReport Report { get; internal set; } = new("", 0, 0, [], [], [], 0, 0, [], []);

    /// <summary>The result's tokenizer.</summary>
    internal TokenizerDraft Draft { get; }

    /// <summary>The configuration beside the tokenizer's files, if there is one.</summary>
    internal ModelConfig? SourceConfig { get; }

    /// <summary>Models whose rows rules name.</summary>
    internal IReadOnlyList<LoadedModel> Lenders => [.. _rules.Values.Select(rule => rule.Lender).OfType<LoadedModel>().Distinct()];

    /// <summary>The tokenizer of a model that is merged; null for others.</summary>
    internal Tokenizer? TokenizerOf(LoadedModel model) => _tokenizers.GetValueOrDefault(model);

    /// <summary>Per row of the result: the model's row of the same token, or -1.</summary>
    internal int[] Own(LoadedModel model) => _own[model];

    /// <summary>Whether a row of the result is a token's.</summary>
    internal bool IsToken(int row) => _isToken[row];

    /// <summary>Whether a token has a rule.</summary>
    internal bool IsRuled(int row) => _rules.ContainsKey(row);

    /// <summary>Matrices in the result's numbering.</summary>
    /// <param name="inputs">The models' matrices, all of one width.</param>
    /// <param name="baseIndex">Which input is the base model's, or -1.</param>
    /// <param name="lend">The matrix that a lender has in its place; null where it has none of that width.</param>
    /// <param name="width">Elements of a row.</param>
    internal List<ITensorSource> Gather(IReadOnlyList<(LoadedModel Model, ITensorSource Data)> inputs, int baseIndex, Func<LoadedModel, ITensorSource?> lend, long width)
    {
        var matrices = inputs.Select(input => input.Data).ToList();
        var places = new Dictionary<LoadedModel, int>();
        for (var i = 0; i < inputs.Count; i++)
            places.TryAdd(inputs[i].Model, i);
        foreach (var lender in Lenders.Where(lender => !places.ContainsKey(lender)))
        {
            if (lend(lender) is not { } matrix)
                continue;
            places[lender] = matrices.Count;
            matrices.Add(matrix);
        }

        var own = inputs.Select(input => _own[input.Model]).ToList();
        var defaults = new RowSource[Rows];
        for (var row = 0; row < Rows; row++)
            defaults[row] = Default(row, own, baseIndex, places);
        var table = new RowTable(own, defaults, _forced);
        return [.. inputs.Select((input, i) => table.IsIdentity(i, input.Data.Count / width) ? input.Data : new GatheredRows(table, matrices, i, width))];
    }

    /// <summary>What a model gets for a token that it lacks: the rule's row; the only owner's; the base's; the mean of the owners; zeros.</summary>
    internal RowSource Default(int row, IReadOnlyList<int[]> own, int baseIndex, Dictionary<LoadedModel, int>? places = null)
    {
        if (!_isToken[row])
            return RowSource.MeanOfRows;
        if (places is not null && _rules.TryGetValue(row, out var rule))
            return rule.Lender is { } lender && places.TryGetValue(lender, out var place) ? new RowSource(place, rule.Row) : RowSource.Zero;
        var (owners, last) = (0, -1);
        for (var i = 0; i < own.Count; i++)
            if (own[i][row] >= 0)
                (owners, last) = (owners + 1, i);
        return owners switch
        {
            0 => RowSource.Zero,
            1 => new RowSource(last, own[last][row]),
            _ when baseIndex >= 0 && own[baseIndex][row] >= 0 => new RowSource(baseIndex, own[baseIndex][row]),
            _ => RowSource.MeanOfOwners,
        };
    }

    private static int[] Own(ModelVocabulary model, TokenizerDraft draft, int rows)
    {
        var own = new int[rows];
        Array.Fill(own, -1);
        foreach (var (token, id) in draft.Ids)
            own[id] = model.RowOf(token);
        return own;
    }
}
