using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Works out the routers of a planned mixture and fills them in.</summary>
/// <param name="mixture">The mixture.</param>
/// <param name="options">Where relative paths start.</param>
/// <param name="probes">Opens models where a forward pass is needed.</param>
public sealed class GateFitter(Mixture mixture, PlanOptions options, IRouterProbes probes)
{
    private const double BalanceStep = 1e-3;
    private const int BalanceSteps = 500;

    private readonly List<Problem> _problems = [];

    /// <summary>What was noticed while the gates were worked out.</summary>
    public IReadOnlyList<Problem> Problems => _problems;

    private MoeSettings Settings => mixture.Settings;

    /// <summary>The mixture of a plan; null where the plan makes none.</summary>
    public static Mixture? MixtureOf(MergePlan plan) =>
        plan.Jobs.SelectMany(job => job.Sources).Select(source => source.Data).OfType<GateSource>().FirstOrDefault()?.Mixture;

    /// <summary>Fills in every router, gate on a shared expert, and balancing bias.</summary>
    public void Fill(CancellationToken cancellation)
    {
        switch (Settings.Gate)
        {
            case GateMode.Random or GateMode.UniformRandom:
                foreach (var (gate, name) in mixture.Gates.Zip(mixture.GateNames))
                    gate.Fill(gate.Role == GateRole.Correction ? new float[gate.Count] : Random(gate, name));
                break;
            case GateMode.CheapEmbed:
                FillRows(EmbeddingRows());
                break;
            case GateMode.Calibrated when Settings.Experts.All(expert => expert.Data is not null):
                Fit(cancellation);
                break;
            case GateMode.Calibrated:
                Calibrate(cancellation);
                break;
            default:
                FillRows(StateRows(Settings.Input, cancellation));
                break;
        }
    }

    /// <summary>The routers as they have been filled in.</summary>
    public IReadOnlyList<LayerGates> Gates() => [.. mixture.Gates.Where(gate => gate.Role == GateRole.Router).Select(gate =>
    {
        var values = gate.Values.ToArray();
        var correction = mixture.Gates.FirstOrDefault(other => other.Layer == gate.Layer && other.Role == GateRole.Correction);
        return new LayerGates(gate.Layer, [.. values.Chunk(gate.Columns).Select(row => Array.ConvertAll(row, value => (double)value))],
            correction is null ? [] : Array.ConvertAll(correction.Values.ToArray(), value => (double)value));
    })];

    private float[] Random(GateSource gate, string name)
    {
        var values = new float[gate.Count];
        if (Settings.Gate == GateMode.Random)
        {
            new CounterGaussian(mixture.Seed, name, 0).Fill(0, values);
            return values;
        }

        var words = new uint[gate.Count];
        new CounterRandom(mixture.Seed, name, 0).Fill(0, words);
        return Array.ConvertAll(words, word => (float)((int)word / 2147483648.0 / Math.Sqrt(mixture.Hidden)));
    }

    /// <summary>Gives routers their experts' rows, the gate on the shared expert its own, and biases zero.</summary>
    private void FillRows(IReadOnlyDictionary<int, double[][]> rows)
    {
        foreach (var gate in mixture.Gates)
        {
            var all = rows[gate.Layer];
            var routed = mixture.Routing.Experts;
            gate.Fill(gate.Role switch
            {
                GateRole.Router => Flat(all[..routed]),
                GateRole.SharedGate when all.Length > routed => Flat(all[routed..(routed + 1)]),
                _ => new float[gate.Count],
            });
        }
    }

    /// <summary>The entries that have a row: the routed ones, then the shared ones as one, with the prompts of all of them, where these have any.</summary>
    private IEnumerable<ExpertSpec> Prompted => Settings.Expanded.Concat(Settings.Shared.Take(1).Select(first => first with
    {
        Positive = [.. Settings.Shared.SelectMany(expert => expert.Positive)],
        Negative = [.. Settings.Shared.SelectMany(expert => expert.Negative)],
    }).Where(expert => expert.Positive.Count > 0));

    private Dictionary<int, double[][]> EmbeddingRows()
    {
        var texts = new ProbeTexts(mixture.TokenizerFolder, mixture.Window);
        var job = mixture.Backbone.First(job => job.Name == mixture.Embedding);
        var row = EmbeddingReader(job);
        var rows = Prompted.Select(expert => GateVectors.EmbeddingRow(
            [.. expert.Positive.SelectMany(texts.Prompt).Select(row)], [.. expert.Negative.SelectMany(texts.Prompt).Select(row)])).ToArray();
        return mixture.Layers.ToDictionary(layer => layer, _ => rows);
    }

    private Func<int, double[]> EmbeddingReader(TensorJob job)
    {
        var width = (int)job.Shape[1];
        if (!job.Method.IsCopy(job))
        {
            var (whole, size) = (JobMemory.Make(job, mixture.Seed), width * job.OutputType.Size());
            return id =>
            {
                var values = new float[width];
                TensorCodec.Decode(job.OutputType, whole.AsSpan(id * size, size), values);
                return Array.ConvertAll(values, value => (double)value);
            };
        }

        return id =>
        {
            var (values, scratch) = (new float[width], new byte[width * sizeof(double)]);
            job.Sources[0].Data.Read((long)id * width, values, scratch);
            return Array.ConvertAll(values, value => (double)value);
        };
    }

    /// <summary>Rows from the states of prompts.</summary>
    private Dictionary<int, double[][]> StateRows(GateInput input, CancellationToken cancellation)
    {
        var texts = new ProbeTexts(mixture.TokenizerFolder, mixture.Window);
        using var probe = probes.OpenPlanned("the backbone", mixture.DenseConfig, mixture.Backbone, mixture.Seed);
        var experts = Prompted.ToList();
        var prompts = experts.SelectMany(expert => expert.Positive.Concat(expert.Negative)).Distinct(StringComparer.Ordinal).ToList();
        var pooled = mixture.Layers.ToDictionary(layer => layer, _ => new Dictionary<string, double[]>(StringComparer.Ordinal));
        List<int[]> sequences = [.. prompts.Select(texts.Prompt)];
        RequireFit(experts, prompts, sequences);
        probe.Run(sequences, input, mixture.Layers, (layer, sequence, states) =>
            pooled[layer][prompts[sequence]] = Pool(states, last: Settings.Gate == GateMode.Hidden), cancellation);
        return mixture.Layers.ToDictionary(layer => layer, layer => experts.Select(expert => GateVectors.Row(
            [.. expert.Positive.Select(prompt => pooled[layer][prompt])], [.. expert.Negative.Select(prompt => pooled[layer][prompt])])).ToArray());
    }

    /// <summary>Fails where prompts are longer than the model's context.</summary>
    private void RequireFit(List<ExpertSpec> experts, List<string> prompts, List<int[]> sequences)
    {
        var problems = prompts.Zip(sequences).Where(pair => pair.Second.Length > mixture.Context).Select(pair => Problem.Error(
            $"the prompt '{Quoting.Shorten(pair.First)}' has {pair.Second.Length} tokens; the model's context holds {mixture.Context}",
            experts.First(expert => expert.Positive.Concat(expert.Negative).Contains(pair.First, StringComparer.Ordinal)).Location)).ToList();
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    private double[] Pool(ReadOnlySpan<float> states, bool last)
    {
        var rows = states.ToArray().Chunk(mixture.Hidden).Select(row => Array.ConvertAll(row, value => (double)value)).ToList();
        return GateVectors.Pool(rows, last);
    }

    /// <summary>Rows from prompts, without the mean state's direction, at the temperature that is asked for.</summary>
    private void Calibrate(CancellationToken cancellation)
    {
        var rows = StateRows(Settings.Input, cancellation);
        var states = Collect(cancellation);
        Parallel.ForEach(mixture.Layers, layer => rows[layer] = [.. states[layer].Calibrate(rows[layer][..mixture.Routing.Experts], Scale), .. rows[layer][mixture.Routing.Experts..]]);
        FillRows(rows);
        Balance(states);
    }

    /// <summary>Rows fitted to the states of held-out texts.</summary>
    private void Fit(CancellationToken cancellation)
    {
        var states = Collect(cancellation);
        var rows = new Dictionary<int, double[][]>();
        foreach (var layer in mixture.Layers)
        {
            var fitted = states[layer].Fit(Settings.Experts.Count, Settings.Calibration.Ridge, Scale);
            rows[layer] = [.. Settings.Experts.Zip(fitted).SelectMany(pair => Enumerable.Repeat(pair.Second, pair.First.Copies))];
            cancellation.ThrowIfCancellationRequested();
        }

        FillRows(rows);
        Balance(states);
    }

    /// <summary>Half of ln experts, where nothing else is asked for; see <see cref="CalibrationSettings.TargetEntropy"/>.</summary>
    private double Scale(IReadOnlyList<double[]> logits) =>
        GateCalibration.ScaleForEntropy(logits, Settings.Calibration.TargetEntropy ?? 0.5 * Math.Log(Settings.Experts.Count));

    private Dictionary<int, LabelledStates> Collect(CancellationToken cancellation)
    {
        var collection = new StateCollection(mixture, options, probes);
        var states = collection.Collect(cancellation);
        _problems.AddRange(collection.Problems);
        return states;
    }

    /// <summary>Moves the balancing bias, where the format has one, until the held-out load is even.</summary>
    private void Balance(Dictionary<int, LabelledStates> states)
    {
        var rows = Gates().ToDictionary(gates => gates.Layer);
        foreach (var gate in mixture.Gates.Where(gate => gate.Role == GateRole.Correction))
        {
            var (bias, _, _) = BiasBalancing.Fit(states[gate.Layer].Held(rows[gate.Layer].Rows), mixture.Routing.TopK, BalanceStep, BalanceSteps);
            gate.Fill(Array.ConvertAll(bias, value => (float)value));
        }
    }

    private static float[] Flat(double[][] rows) => [.. rows.SelectMany(row => row).Select(value => (float)value)];
}
