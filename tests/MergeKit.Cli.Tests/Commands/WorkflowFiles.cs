namespace MergeKit.Cli.Tests.Commands;

/// <summary>Documents, models and data for the tests of the commands above the token.</summary>
internal sealed class WorkflowFiles : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public string Folder => _folder.Path;

    public void Dispose() => _folder.Dispose();

    public static string Model(string name) => Path.Combine(Repository.Root, "examples", "models", name);

    public static string Data(string file) => Path.Combine(Repository.Fixtures, "eval", "arithmetic", file);

    public string Join(string name) => _folder.Join(name);

    /// <summary>Writes a file in which BASE, ADDER, VAL and TEST stand for paths.</summary>
    public string Write(string name, string text)
    {
        File.WriteAllText(Join(name), text
            .Replace("BASE", Model("base"), StringComparison.Ordinal).Replace("ADDER", Model("ft-arithmetic"), StringComparison.Ordinal)
            .Replace("CODER", Model("ft-code"), StringComparison.Ordinal)
            .Replace("VAL", Data("exact_val.jsonl"), StringComparison.Ordinal).Replace("TEST", Data("exact.jsonl"), StringComparison.Ordinal)
            .Replace("CHOICES", Data("mc_val.jsonl"), StringComparison.Ordinal));
        return Join(name);
    }
}
