using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>How near a value must be: |y - x| &lt;= Absolute + Relative |x|, save for a fraction of outliers.</summary>
internal sealed record Tolerance(double Relative, double Absolute, double MaxOutlierFraction);

/// <summary>How the router of a mixture is compared; absent where its values are free.</summary>
internal sealed record RouterRule(string Pattern, Tolerance Tolerance);

/// <summary>One entry of the merge suite's manifest, typed.</summary>
internal sealed class MergeCase(JsonElement json, string root)
{
    public JsonElement Json => json;

    /// <summary>The folder that holds <c>inputs/</c>: recipes' paths are relative to it.</summary>
    public string Root => root;

    public string Name => Text("name")!;

    /// <summary>What to run: for an error case the tool that its recipe is for.</summary>
    public string Command => IsError ? Text("command")! : Text("kind")!;

    public bool IsError => Text("kind") == "error";

    public string? Recipe => Text("recipe");

    public string RecipeText => Recipe is null ? "" : File.ReadAllText(Path.Combine(root, Recipe));

    public IReadOnlyList<string> Args { get; private init; } =
        json.TryGetProperty("args", out var args) ? [.. args.EnumerateArray().Select(arg => arg.GetString()!)] : [];

    public string? Result => Text("result");

    public string ExpectedFolder => Path.Combine(root, "cases", Name, "expected");

    public IReadOnlyList<string> ExpectedFiles => Texts("expected");

    public string? OutDType => Text("out_dtype");

    public string? Compare => Text("compare");

    public string? SkipTensors => Text("skip_tensors");

    public JsonElement? Config => Find("config");

    public string? Expect => Text("expect");

    public IReadOnlyList<string> Messages => Texts("message_should_match");

    public RouterRule? Router => Find("router") is { } router
        ? new RouterRule(router.GetProperty("pattern").GetString()!, new Tolerance(Number(router, "rtol"), Number(router, "atol"), 0))
        : null;

    public Tolerance Tolerance => Find("tolerance") is { } tolerance
        ? new Tolerance(Number(tolerance, "rtol"), Number(tolerance, "atol"), Number(tolerance, "max_outlier_fraction"))
        : throw new InvalidDataException($"{Name}: the manifest gives no tolerance");

    public double ResidualTolerance => Find("tolerance") is { } tolerance && tolerance.TryGetProperty("residual_rtol", out var value)
        ? value.GetDouble()
        : throw new InvalidDataException($"{Name}: the manifest gives no residual_rtol");

    public StatisticsRule Statistics => Find("statistics") is { } rule
        ? new StatisticsRule(Number(rule, "weight"), rule.TryGetProperty("rescale", out var rescale) && rescale.GetBoolean())
        : throw new InvalidDataException($"{Name}: the manifest gives no statistics rule");

    /// <summary>The value that follows an option in <see cref="Args"/>, in either spelling (<c>--x v</c>, <c>--x=v</c>).</summary>
    public string? Option(string name)
    {
        for (var i = 0; i < Args.Count; i++)
            if (Args[i] == name && i + 1 < Args.Count)
                return Args[i + 1];
            else if (Args[i].StartsWith(name + "=", StringComparison.Ordinal))
                return Args[i][(name.Length + 1)..];
        return null;
    }

    /// <summary>The same case with another seed.</summary>
    public MergeCase WithSeed(string seed)
    {
        var args = Args.Where((arg, i) => !arg.StartsWith("--random-seed", StringComparison.Ordinal) && (i == 0 || Args[i - 1] != "--random-seed"));
        return new MergeCase(json, root) { Args = [.. args, "--random-seed", seed] };
    }

    private JsonElement? Find(string key) =>
        json.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string? Text(string key) => Find(key)?.GetString();

    private IReadOnlyList<string> Texts(string key) =>
        Find(key) is { } list ? [.. list.EnumerateArray().Select(item => item.GetString()!)] : [];

    private static double Number(JsonElement owner, string key) => owner.TryGetProperty(key, out var value) ? value.GetDouble() : 0;
}
