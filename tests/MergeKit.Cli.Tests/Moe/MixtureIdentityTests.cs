using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>When the work of an interrupted mixture counts as the same work.</summary>
public sealed class MixtureIdentityTests : IDisposable
{
    private readonly TemporaryFolder _scratch = TemporaryFolder.InMemory(20_000_000);

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_calibration_text_of_other_words_is_other_work_and_one_that_was_only_touched_is_not()
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2) })
            DenseModel.Write(_scratch.Join(name), DenseModel.Llama, seed);
        var (text, then) = (_scratch.Join("text.txt"), new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc));
        Write("one two three", then);
        var first = Identity();
        Write("one two three", then.AddDays(1));
        Assert.Equal(first, Identity());
        Write("two one three", then);
        Assert.NotEqual(first, Identity());
        Write("one two three", then);
        Assert.Equal(first, Identity());

        void Write(string words, DateTime time)
        {
            File.WriteAllText(text, words);
            File.SetLastWriteTimeUtc(text, time);
        }
    }

    private string Identity()
    {
        const string recipe = "base_model: a\ngate_mode: calibrated\nexperts:\n- {source_model: a, data: text.txt}\n- {source_model: b, positive_prompts: [x]}\n";
        using var plan = RecipePlanner.Plan(RecipeReader.Parse("r.yml", recipe)[0], new PlanOptions { WorkingDirectory = _scratch.Path });
        Assert.True(plan.IsExecutable, string.Join("; ", plan.Problems));
        return InputIdentity.Take(plan);
    }
}
