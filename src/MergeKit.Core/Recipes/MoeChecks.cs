namespace MergeKit.Core.Recipes;

/// <summary>What can be said against a mixture without looking at any model.</summary>
internal static class MoeChecks
{
    private const int MostExperts = 4096;

    public static void Check(MoeSettings moe, Fields fields, ProblemList problems)
    {
        var count = moe.Experts.Sum(expert => (long)expert.Copies);
        if (count < moe.TopK)
            problems.Error(
                $"experts_per_token is {moe.TopK}, but there are only {count} experts; wanted at least as many experts as each token visits", fields.PlaceOf("experts_per_token"));
        if (count > MostExperts)
            problems.Error($"{count} experts; at most {MostExperts} are supported", fields.PlaceOf("experts"));
        CheckEntropy(moe, (int)count, fields, problems);
        CheckPrompts(moe, fields, problems);
        CheckUnused(moe, fields, problems);
        foreach (var expert in moe.Experts.Concat(moe.Shared).Where(expert => expert.NoiseScale < 0))
            problems.Error($"'noise_scale' of '{expert.Model}' is {expert.NoiseScale}; wanted a number of at least 0", expert.Location);
        foreach (var shared in moe.Shared.Where(expert => expert.Copies > 1))
            problems.Error($"'copies' of the shared expert '{shared.Model}' is {shared.Copies}; a shared expert is there once", shared.Location);
        if (count > 1 && moe.Experts.All(expert => expert.Model.Equals(moe.Experts[0].Model) && expert.NoiseScale is null or 0))
            problems.Warning($"all experts are '{moe.Experts[0].Model}': the mixture gives what that model gives until it is trained", fields.PlaceOf("experts"));
    }

    private static void CheckEntropy(MoeSettings moe, int count, Fields fields, ProblemList problems)
    {
        if (moe.Calibration.TargetEntropy is { } target && !(target > 0 && target < Math.Log(count)))
            problems.Error($"'target_entropy' is {target}; with {count} experts wanted a number between 0 and ln {count} = {Math.Log(count):0.####}", fields.PlaceOf("calibration"));
    }

    /// <summary>Keys that the way of making gates does not look at.</summary>
    private static void CheckUnused(MoeSettings moe, Fields fields, ProblemList problems)
    {
        if (fields["calibration"] is not null && moe.Gate != GateMode.Calibrated)
            problems.Warning($"'calibration' has no effect with gate_mode: {fields.Text("gate_mode") ?? "hidden"}; gate_mode: calibrated is what it is for", fields.PlaceOf("calibration"));
        if (moe.GateInput is not null && !moe.NeedsStates)
            problems.Warning($"'gate_input' has no effect with gate_mode: {fields.Text("gate_mode")}, which looks at no states", fields.PlaceOf("gate_input"));
        if (moe.Shared.All(expert => expert.Positive.Count == 0) && moe.Shared.FirstOrDefault(expert => expert.Negative.Count > 0) is { } negative)
            problems.Warning($"'negative_prompts' of the shared expert '{negative.Model}' have no effect: no shared expert has positive_prompts, so their gate is zero, a half for every token", negative.Location);
    }

    private static void CheckPrompts(MoeSettings moe, Fields fields, ProblemList problems)
    {
        if (moe.Gate is GateMode.Random or GateMode.UniformRandom)
            return;
        var before = problems.Errors;
        foreach (var (index, expert) in moe.Experts.Index())
            if (expert.Positive.Count == 0 && (moe.Gate != GateMode.Calibrated || expert.Data is null))
                problems.Error(
                    $"expert {index} ('{expert.Model}') has no positive_prompts{(moe.Gate == GateMode.Calibrated ? " and no data" : "")}; "
                    + "gates are made of them (only gate_mode: random and uniform_random need none)", expert.Location);
        if (problems.Errors > before)
            return;
        var first = moe.Expanded[0];
        if (moe.Expanded.Count > 1 && moe.Expanded.All(expert => Same(expert, first)))
            problems.Error(
                "the prompts (and data) of all experts are the same, so every router row would be the same; give each expert prompts of its own", fields.PlaceOf("experts"));
    }

    private static bool Same(ExpertSpec a, ExpertSpec b) =>
        a.Positive.SequenceEqual(b.Positive, StringComparer.Ordinal) && a.Negative.SequenceEqual(b.Negative, StringComparer.Ordinal) && a.Data == b.Data;
}
