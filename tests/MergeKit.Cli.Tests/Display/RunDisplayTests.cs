using MergeKit.Cli.Display;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Tests.Display;

/// <summary>The line of progress of a run whose method decomposes matrices, looked at while each of them is decomposed.</summary>
public sealed class RunDisplayTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_line_names_and_counts_the_matrices()
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2), ("c", 3) })
            SyntheticModel.Llama(_folder.Join(name), seed, layers: 1, hidden: 16, vocabulary: 20, inner: 24);
        var (progress, lines) = (new MergeProgress(), new List<string>());
        using var plan = MergePlanner.Plan(RecipeReader.Parse(_folder.Join("r.yml"), "merge_method: iso_c\nbase_model: a\nmodels:\n- model: b\n- model: c\n")[0],
            new PlanOptions { WorkingDirectory = _folder.Path, Threads = 1, Decomposer = new Watching(() => lines.Add(RunDisplay.Text("merged", progress, 1))) });
        new MergeRunner(plan, progress).Run(_folder.Join("out"), ResumeMode.Never, _ => new Dictionary<string, string>(), default);
        Assert.Equal(plan.Matrices!.Count, lines.Count);
        Assert.Equal(9, lines.Count); // embedding, head, four of attention, three of the MLP
        Assert.Contains(lines, line => line.Contains("matrices: model.layers.0.self_attn.q_proj.weight 16 x 16, sweep 1", StringComparison.Ordinal));
        for (var i = 0; i < lines.Count; i++)
            Assert.Contains($" {i}/9 matrices: ", lines[i], StringComparison.Ordinal);
        Assert.EndsWith(" 9/9 matrices\u001b[K", RunDisplay.Text("merged", progress, 1), StringComparison.Ordinal);
        Assert.DoesNotContain("matrices", RunDisplay.Text("merged", new MergeProgress(), 1), StringComparison.Ordinal);
    }

    private sealed class Watching(Action look) : IDecomposer
    {
        private readonly CpuDecomposer _inner = new();

        public string Name => _inner.Name;

        public bool PrefersWhole => false;

        public DecompositionCost Cost(long rows, long columns, int threads) => _inner.Cost(rows, columns, threads);

        public ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null) => _inner.Decompose(rows, loop, text =>
        {
            step?.Invoke(text);
            if (text == "sweep 1")
                look();
        });
    }
}
