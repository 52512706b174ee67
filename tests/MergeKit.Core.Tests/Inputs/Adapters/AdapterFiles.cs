using System.Text.Json.Nodes;

namespace MergeKit.Core.Tests.Inputs.Adapters;

/// <summary>Adapters that tests make up, and what they mean in double precision.</summary>
internal sealed class AdapterFiles
{
    private readonly List<LoadedTensor> _tensors = [];
    private readonly JsonObject _config = new() { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 6, ["target_modules"] = new JsonArray("q_proj") };

    public AdapterFiles Set(string key, JsonNode? value)
    {
        _config[key] = value;
        return this;
    }

    public AdapterFiles Add(string name, long[] shape, params float[] values)
    {
        _tensors.Add(LoadedTensor.Float32("base_model.model." + name, shape, values));
        return this;
    }

    public string Write(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), _config.ToJsonString());
        SafetensorsFile.Write(Path.Combine(folder, "adapter_model.safetensors"), _tensors);
        return folder;
    }

    /// <summary>scale B A with B [rows, rank], A [rank, columns].</summary>
    public static double[] Product(float[] b, float[] a, int rank, double scale)
    {
        var (rows, columns) = (b.Length / rank, a.Length / rank);
        var result = new double[rows * columns];
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                for (var k = 0; k < rank; k++)
                    result[i * columns + j] += scale * b[i * rank + k] * a[k * columns + j];
        return result;
    }

    public static double[] Transposed(double[] values, int columns)
    {
        var rows = values.Length / columns;
        return [.. Enumerable.Range(0, values.Length).Select(at => values[at % rows * columns + at / rows])];
    }
}
