using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Runs the experts' texts through the backbone and keeps states that routers are fitted to.</summary>
/// <param name="mixture">The mixture.</param>
/// <param name="options">Where relative paths start.</param>
/// <param name="probes">Opens models.</param>
internal sealed class StateCollection(Mixture mixture, PlanOptions options, IRouterProbes probes)
{
    private const long MostStateBytes = 1L << 30;
    private const int MostStates = 16384;
    private const int HeldOutEvery = 5;

    private readonly List<Problem> _problems = [];

    private MoeSettings Settings => mixture.Settings;

    /// <summary>What was noticed.</summary>
    public IReadOnlyList<Problem> Problems => _problems;

    /// <summary>States in every layer, equally many from each expert's texts; every fifth sequence is held out of the fit.</summary>
    public Dictionary<int, LabelledStates> Collect(CancellationToken cancellation)
    {
        var texts = new ProbeTexts(mixture.TokenizerFolder, mixture.Window);
        var sequences = Sequences(texts);
        var labels = Settings.Calibration.Labels == CalibrationLabels.Domain
            ? [.. sequences.Select((list, label) => list.Select(_ => label).ToArray())]
            : LikelihoodLabels(sequences, cancellation);
        var most = (int)Math.Min(MostStates, MostStateBytes / (sizeof(float) * (long)mixture.Hidden * mixture.Layers.Count));
        var kept = Math.Max(1, Math.Min(most / sequences.Count, sequences.Min(list => list.Sum(ids => Math.Max(1, ids.Length - 1)))));
        if (kept * sequences.Count < mixture.Hidden)
            _problems.Add(Problem.Warning(
                $"the gates are calibrated on {kept * sequences.Count} states, {kept} of each expert's text, which are {mixture.Hidden} wide: too few to be relied on; give more text as 'data', or more 'tokens'",
                Settings.Experts[sequences.Index().MinBy(list => list.Item.Sum(ids => ids.Length)).Index].Location));
        var states = mixture.Layers.ToDictionary(layer => layer, _ => new LabelledStates(mixture.Hidden));
        using var probe = probes.OpenPlanned("the backbone", mixture.DenseConfig, mixture.Backbone, mixture.Seed);
        foreach (var (own, belongs) in sequences.Zip(labels))
        {
            var chosen = Spread(own, kept);
            probe.Run(own, Settings.Input, mixture.Layers, (layer, sequence, rows) =>
            {
                foreach (var token in chosen[sequence])
                    states[layer].Add(rows.Slice(token * mixture.Hidden, mixture.Hidden), belongs[sequence], sequence % HeldOutEvery == HeldOutEvery - 1);
            }, cancellation);
        }

        return states;
    }

    /// <summary>Every expert's sequences; where texts cannot be read, all of those are named.</summary>
    private List<IReadOnlyList<int[]>> Sequences(ProbeTexts texts)
    {
        var (sequences, problems) = (new List<IReadOnlyList<int[]>>(), new List<Problem>());
        foreach (var expert in Settings.Experts)
        {
            try
            {
                sequences.Add(Sequences(texts, expert));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? expert.Location }));
            }
        }

        return problems.Count == 0 ? sequences : throw new InputException(problems);
    }

    private IReadOnlyList<int[]> Sequences(ProbeTexts texts, ExpertSpec expert) => expert.Data is { } data
        ? texts.Windows(probes.ReadTexts(InputFile.Resolve(data, mixture.RecipeFile, options)), Settings.Calibration.Tokens / Settings.Experts.Count)
        : [.. expert.Positive.Select(texts.Prompt)];

    /// <summary>For each sequence the expert under whose feed-forward blocks, in the mixture's backbone, it is most likely: what an expert is good
    /// for once its attention is gone need not be what it was trained for.</summary>
    private List<int[]> LikelihoodLabels(List<IReadOnlyList<int[]>> sequences, CancellationToken cancellation)
    {
        var scores = new List<double[][]>();
        var first = 0;
        foreach (var expert in Settings.Experts)
        {
            var own = mixture.Experts[first].ToDictionary(job => job.Name, StringComparer.Ordinal);
            using var probe = probes.OpenPlanned(
                mixture.ExpertNames[first], mixture.DenseConfig, [.. mixture.Backbone.Select(job => own.GetValueOrDefault(job.Name, job))], mixture.Seed);
            scores.Add([.. sequences.Select(list => probe.Score(list, cancellation))]);
            first += expert.Copies;
        }

        List<int[]> labels = [.. sequences.Select((list, domain) => list.Select((_, i) => Enumerable.Range(0, scores.Count).MaxBy(expert => scores[expert][domain][i])).ToArray())];
        foreach (var (domain, belongs) in labels.Index())
            Note(domain, belongs);
        return labels;
    }

    /// <summary>Says where most of an expert's text is more likely under others.</summary>
    private void Note(int domain, int[] labels)
    {
        var own = labels.Count(label => label == domain);
        if (2 * own >= labels.Length)
            return;
        var entry = Settings.Experts[domain];
        var others = labels.Where(label => label != domain).GroupBy(label => label).OrderByDescending(group => group.Count()).Select(group => $"{group.Count()} under '{Settings.Experts[group.Key].Model}'");
        _problems.Add(Problem.Warning(
            $"of {labels.Length} pieces of text given for expert '{entry.Model}' only {own} are most likely under its blocks in this backbone ({string.Join(", ", others)}): "
            + "what it learned depends on its own attention", entry.Location));
    }

    /// <summary>For each sequence the tokens to keep: so many in all, evenly spread, and not a sequence's first, which is the same in all texts.</summary>
    private static List<List<int>> Spread(IReadOnlyList<int[]> sequences, int kept)
    {
        var all = sequences.SelectMany((ids, sequence) => Enumerable.Range(Math.Min(1, ids.Length - 1), Math.Max(1, ids.Length - 1)).Select(token => (sequence, token))).ToList();
        var chosen = sequences.Select(_ => new List<int>()).ToList();
        for (var i = 0; i < Math.Min(kept, all.Count); i++)
        {
            var (sequence, token) = all[(int)((long)i * all.Count / Math.Min(kept, all.Count))];
            chosen[sequence].Add(token);
        }

        return chosen;
    }
}
