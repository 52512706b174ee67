using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>What an extracted adapter must leave over, per module, and which tensors it must hold whole.</summary>
internal sealed record AdapterResiduals(IReadOnlyDictionary<string, AdapterModule> Modules, IReadOnlyList<string> SavedWhole)
{
    public static AdapterResiduals Read(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        var modules = json.RootElement.GetProperty("modules").EnumerateObject().ToDictionary(
            entry => entry.Name,
            entry => new AdapterModule(
                entry.Value.GetProperty("rank").GetInt32(), entry.Value.GetProperty("residual_norm").GetDouble(), entry.Value.GetProperty("embedding").GetBoolean()),
            StringComparer.Ordinal);
        return new AdapterResiduals(modules, [.. json.RootElement.GetProperty("saved_whole").EnumerateArray().Select(name => name.GetString()!)]);
    }
}

/// <summary>One factored module: rank, Frobenius norm of what the factors miss, and whether it is an embedding (stored transposed).</summary>
internal sealed record AdapterModule(int Rank, double ResidualNorm, bool IsEmbedding);

/// <summary>Checks a LoRA adapter by its residuals: signs and order of singular vectors are free.</summary>
internal static class AdapterCheck
{
    private const string Prefix = "base_model.model.";

    /// <summary>Compares <c>|W_ft - W_base - B A|</c> with each wanted norm, and the whole tensors with the fine-tune's.</summary>
    public static void Compare(
        IReadOnlyDictionary<string, LoadedTensor> adapter, IReadOnlyDictionary<string, LoadedTensor> baseModel, IReadOnlyDictionary<string, LoadedTensor> fineTuned,
        AdapterResiduals wanted, double residualTolerance, List<string> findings)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, module) in wanted.Modules)
            CompareModule(name, module, adapter, baseModel[name], fineTuned[name], residualTolerance, used, findings);
        foreach (var name in wanted.SavedWhole)
        {
            used.Add(Prefix + name);
            if (!adapter.TryGetValue(Prefix + name, out var whole))
                findings.Add($"tensor '{Prefix + name}' is missing");
            else if (!whole.Values().SequenceEqual(fineTuned[name].Values()))
                findings.Add($"tensor '{Prefix + name}' is not a copy of the fine-tune's");
        }

        findings.AddRange(adapter.Keys.Except(used).Select(name => $"tensor '{name}' should not be there"));
    }

    /// <summary>The configuration: <c>r</c> and <c>lora_alpha</c> are the largest rank; other ranks stand in the patterns.</summary>
    public static void CompareConfig(string folder, AdapterResiduals wanted, List<string> findings)
    {
        var path = Path.Combine(folder, "adapter_config.json");
        if (!File.Exists(path))
        {
            findings.Add("no adapter_config.json");
            return;
        }

        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        var rank = wanted.Modules.Values.Select(module => module.Rank).DefaultIfEmpty(0).Max();
        if (!json.RootElement.TryGetProperty("peft_type", out var type) || type.GetString() != "LORA")
            findings.Add("adapter_config.json: peft_type is not LORA");
        foreach (var key in new[] { "r", "lora_alpha" })
            if (!json.RootElement.TryGetProperty(key, out var value) || value.GetDouble() != rank)
                findings.Add($"adapter_config.json: {key} is not {rank}");
    }

    private static void CompareModule(
        string name, AdapterModule module, IReadOnlyDictionary<string, LoadedTensor> adapter, LoadedTensor baseTensor, LoadedTensor fineTuned,
        double tolerance, HashSet<string> used, List<string> findings)
    {
        var stem = Prefix + (name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : name);
        var (nameA, nameB) = module.IsEmbedding
            ? ($"{stem}.lora_embedding_A", $"{stem}.lora_embedding_B")
            : ($"{stem}.lora_A.weight", $"{stem}.lora_B.weight");
        used.UnionWith([nameA, nameB]);
        if (!adapter.TryGetValue(nameA, out var a) || !adapter.TryGetValue(nameB, out var b))
        {
            findings.Add($"tensors '{nameA}' and '{nameB}' are not both there");
            return;
        }

        var (rows, columns) = module.IsEmbedding ? (baseTensor.Shape[1], baseTensor.Shape[0]) : (baseTensor.Shape[0], baseTensor.Shape[1]);
        if (!a.Shape.SequenceEqual([module.Rank, columns]) || !b.Shape.SequenceEqual([rows, module.Rank]))
        {
            findings.Add($"'{nameA}' {a.ShapeText} and '{nameB}' {b.ShapeText} are not [{module.Rank}, {columns}] and [{rows}, {module.Rank}]");
            return;
        }

        var residual = ResidualNorm(baseTensor.Values(), fineTuned.Values(), a.Values(), b.Values(), ((int)rows, (int)columns, module.Rank), module.IsEmbedding);
        if (!(Math.Abs(residual - module.ResidualNorm) <= (tolerance * module.ResidualNorm) + 1e-9))
            findings.Add($"module '{name}' leaves a residual of {residual:R}, {module.ResidualNorm:R} is wanted");
    }

    private static double ResidualNorm(
        double[] baseValues, double[] tuned, double[] a, double[] b, (int Rows, int Columns, int Rank) size, bool transposed)
    {
        var sum = 0.0;
        for (var row = 0; row < size.Rows; row++)
            for (var column = 0; column < size.Columns; column++)
            {
                var product = 0.0;
                for (var k = 0; k < size.Rank; k++)
                    product += b[(row * size.Rank) + k] * a[(k * size.Columns) + column];
                var at = transposed ? (column * size.Rows) + row : (row * size.Columns) + column;
                var rest = tuned[at] - baseValues[at] - product;
                sum += rest * rest;
            }

        return Math.Sqrt(sum);
    }
}
