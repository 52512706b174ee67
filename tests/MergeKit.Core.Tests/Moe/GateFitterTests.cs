using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Moe;

/// <summary>Gates from states that are known: a probe that makes them up stands for the engine.</summary>
public class GateFitterTests
{
    private static readonly string Models = Path.Combine(Repository.Fixtures, "models", "nano");

    private const string Prompts = "experts:\n- {source_model: base, positive_prompts: [\"1+1=\", \"22+34=56\"], negative_prompts: [\"9\"]}\n- {source_model: ft-code, positive_prompts: [\"int\"]}\n";

    private static Mixture Fill(string recipe, FakeProbes probes)
    {
        var options = new PlanOptions { WorkingDirectory = Models };
        using var plan = RecipePlanner.Plan(RecipeReader.Parse(Path.Combine(Models, "r.yml"), "base_model: base\n" + recipe)[0], options);
        Assert.True(plan.IsExecutable, string.Join("\n", plan.Problems));
        var mixture = GateFitter.MixtureOf(plan)!;
        new GateFitter(mixture, options, probes).Fill(CancellationToken.None);
        return mixture;
    }

    /// <summary>The state of a token is e_layer + position x e_(64 + length); so the last token's and the mean's are known.</summary>
    [Theory]
    [InlineData("hidden", GateInput.Residual, true)]
    [InlineData("hidden_avg", GateInput.Residual, false)]
    [InlineData("hidden_last\ngate_input: router", GateInput.Router, true)]
    public void Prompts_of_different_length_are_pooled_over_their_own_tokens(string mode, GateInput input, bool last)
    {
        var probes = new FakeProbes((layer, ids, position) => State((layer, 1), (64 + ids.Length, position)));
        var mixture = Fill($"gate_mode: {mode}\n{Prompts}", probes);
        Assert.Equal([input], probes.Inputs.Distinct());
        var row = mixture.Gates[2].Values[..128];
        var texts = new ProbeTexts(Path.Combine(Models, "base"), 512);
        var want = State();
        foreach (var (prompt, weight) in new[] { ("1+1=", 0.5f), ("22+34=56", 0.5f), ("9", -1f) })
        {
            var length = texts.Prompt(prompt).Length;
            want[2] += weight;
            want[64 + length] += weight * (last ? length - 1 : (length - 1) / 2f);
        }

        var norm = MathF.Sqrt(want.Sum(value => value * value));
        for (var i = 0; i < 128; i++)
            Assert.Equal(want[i] / norm, row[i], 1e-5);
    }

    /// <summary>Several shared experts are one wide expert, whose gate is made of the prompts of all of them.</summary>
    [Fact]
    public void Prompts_of_all_shared_experts_make_their_gate()
    {
        var probes = new FakeProbes((_, ids, position) => State((ids.Sum() % 128, 1), (ids[position] % 128, 0.5f)));
        const string shared = "gate_mode: hidden\narchitecture: qwen\n" + Prompts + "shared_experts:\n";
        float[] Gate(string entries) => Fill(shared + entries, probes).Gates.First(gate => gate.Role == GateRole.SharedGate).Values.ToArray();
        var together = Gate("- {source_model: base, positive_prompts: [\"a\", \"b c\"], negative_prompts: [\"7\"]}\n");
        Assert.Equal(together, Gate("- {source_model: base, positive_prompts: [\"a\"]}\n- {source_model: ft-man, positive_prompts: [\"b c\"], negative_prompts: [\"7\"]}\n"));
        Assert.NotEqual(together, Gate("- {source_model: base, positive_prompts: [\"a\"]}\n- {source_model: ft-man}\n"));
        Assert.All(Gate("- {source_model: base}\n- {source_model: ft-man}\n"), value => Assert.Equal(0, value));
    }

    /// <summary>A state is 3 e_0 (what all have in common) + 1 e_1 or e_2 by domain + noise.</summary>
    [Theory]
    [InlineData("", 0.75, 0.3466)] // half of ln 2
    [InlineData("calibration: {target_entropy: 0.5}\n", 0.6, 0.5)]
    public void Texts_whose_states_can_be_told_apart_are(string more, double certain, double entropy)
    {
        var (sums, code) = (string.Concat(Enumerable.Repeat("12+3=15\n", 600)), string.Concat(Enumerable.Repeat("int main\n", 600)));
        var mark = new ProbeTexts(Path.Combine(Models, "base"), 512).Windows([code], 100000)[0][1];
        var probes = new FakeProbes((_, ids, position) => State((0, 3), (ids.Contains(mark) ? 2 : 1, 1), (3 + (position % 50), 0.3f * MathF.Sin(ids[position] + position))))
        {
            Texts = path => [path.EndsWith("val.txt", StringComparison.Ordinal) ? sums : code],
        };
        var data = Path.Combine(Repository.Fixtures, "eval", "arithmetic");
        var mixture = Fill($"gate_mode: calibrated\n{more}experts:\n- {{source_model: base, data: {data}/val.txt}}\n- {{source_model: ft-code, data: {data}/heldout.txt}}\n", probes);
        Assert.Equal([GateInput.Router], probes.Inputs.Distinct());
        foreach (var gates in new GateFitter(mixture, new PlanOptions(), probes).Gates())
            foreach (var (domain, place) in new[] { (0, 1), (1, 2) })
            {
                var logits = RouterSurvey.Logits(gates.Rows, State((0, 3), (place, 1)))[0];
                ExpertRouting.Softmax<double>(logits);
                Assert.True(logits[domain] > certain, $"domain {domain} has the probability {logits[domain]}");
                Assert.Equal(entropy, RouterStatistics.Entropy(logits), 0.05);
            }
    }

    [Theory]
    [InlineData("random", 0.95, 1.05)]
    [InlineData("uniform_random", 0.048, 0.055)] // 1 / sqrt(3 hidden)
    public void Random_gates_have_the_deviation_that_mergekit_gives_them(string mode, double low, double high)
    {
        var mixture = Fill($"gate_mode: {mode}\nexperts: [{{source_model: base}}, {{source_model: ft-code}}, {{source_model: ft-man}}]\n", new FakeProbes((_, _, _) => State()));
        float[] values = [.. mixture.Gates.SelectMany(gate => gate.Values.ToArray())];
        Assert.InRange(Math.Sqrt(values.Average(value => (double)value * value)), low, high);
        Assert.Equal(values.Length, values.Distinct().Count());
    }

    private static float[] State(params (int Index, float Value)[] entries)
    {
        var state = new float[128];
        foreach (var (index, value) in entries)
            state[index] += value;
        return state;
    }

    private sealed class FakeProbes(Func<int, int[], int, float[]> state) : IRouterProbes, IRouterProbe
    {
        public List<GateInput> Inputs { get; } = [];

        public Func<string, IReadOnlyList<string>> Texts { get; init; } = _ => [];

        public int MaxLength => 512;

        public IRouterProbe OpenPlanned(string name, ModelConfig config, IReadOnlyList<TensorJob> jobs, ulong seed) => this;

        public IRouterProbe OpenFolder(string folder) => this;

        public IReadOnlyList<string> ReadTexts(string path) => Texts(path);

        public void Run(IReadOnlyList<int[]> sequences, GateInput input, IReadOnlyList<int> layers, StateVisitor visit, CancellationToken cancellation)
        {
            Inputs.Add(input);
            foreach (var layer in layers)
                for (var i = 0; i < sequences.Count; i++)
                    visit(layer, i, Enumerable.Range(0, sequences[i].Length).SelectMany(position => state(layer, sequences[i], position)).ToArray());
        }

        public double[] Score(IReadOnlyList<int[]> sequences, CancellationToken cancellation) => new double[sequences.Count];

        public void Dispose()
        {
        }
    }
}
