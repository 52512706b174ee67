using System.Text;
using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>Turns a header's JSON into tensor descriptions, one token at a time, so that duplicate keys are seen.</summary>
internal static class SafetensorsHeaderParser
{
    private const int MaxRank = 64;

    public static (List<TensorInfo> Tensors, Dictionary<string, string> Metadata) Parse(
        string path, byte[] json, long dataStart, List<Problem> problems)
    {
        var tensors = new List<TensorInfo>();
        var metadata = new Dictionary<string, string>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
        try
        {
            Expect(ref reader, JsonTokenType.StartObject, "the header");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                if (!names.Add(name))
                    problems.Add(Problem.Error($"{path}: the header names '{name}' twice"));
                if (name == "__metadata__")
                    ReadMetadata(ref reader, metadata);
                else if (ReadTensor(path, name, ref reader, dataStart, problems) is { } tensor)
                    tensors.Add(tensor);
            }

            if (reader.Read())
                throw new JsonException($"something follows the header's object, at byte {reader.TokenStartIndex}");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or DecoderFallbackException)
        {
            throw new InputException($"{path}: the header is not valid JSON of the safetensors form: {e.Message}", e);
        }

        return (tensors, metadata);
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType wanted, string what)
    {
        if (!reader.Read() || reader.TokenType != wanted)
            throw new JsonException($"{what} is {reader.TokenType} where {wanted} is wanted, at byte {reader.TokenStartIndex}");
    }

    private static void ReadMetadata(ref Utf8JsonReader reader, Dictionary<string, string> metadata)
    {
        Expect(ref reader, JsonTokenType.StartObject, "__metadata__");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            Expect(ref reader, JsonTokenType.String, $"__metadata__.{key}");
            if (!metadata.TryAdd(key, reader.GetString()!))
                throw new JsonException($"__metadata__ names '{key}' twice");
        }
    }

    private static TensorInfo? ReadTensor(string path, string name, ref Utf8JsonReader reader, long dataStart, List<Problem> problems)
    {
        string? type = null;
        List<long>? shape = null, offsets = null;
        Expect(ref reader, JsonTokenType.StartObject, $"tensor '{name}'");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            switch (key)
            {
                case "dtype" when type is null:
                    Expect(ref reader, JsonTokenType.String, $"{name}.dtype");
                    type = reader.GetString();
                    break;
                case "shape" when shape is null:
                    shape = ReadNumbers(ref reader, $"{name}.shape", MaxRank);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadNumbers(ref reader, $"{name}.data_offsets", 2);
                    break;
                default:
                    throw new JsonException($"tensor '{name}' has an unknown or repeated key '{key}'; wanted once each: dtype, shape, data_offsets");
            }
        }

        if (type is null || shape is null || offsets is not { Count: 2 })
            throw new JsonException($"tensor '{name}' lacks one of dtype, shape, data_offsets (two numbers)");
        return Describe(path, name, type, shape, offsets[0], offsets[1], dataStart, problems);
    }

    private static List<long> ReadNumbers(ref Utf8JsonReader reader, string what, int most)
    {
        var numbers = new List<long>();
        Expect(ref reader, JsonTokenType.StartArray, what);
        while (reader.Read() && reader.TokenType == JsonTokenType.Number)
        {
            if (!reader.TryGetInt64(out var number) || number < 0 || numbers.Count == most)
                throw new JsonException($"{what} must hold at most {most} non-negative integers of 63 bits");
            numbers.Add(number);
        }

        return reader.TokenType == JsonTokenType.EndArray ? numbers : throw new JsonException($"{what} must hold only integers");
    }

    private static TensorInfo? Describe(
        string path, string name, string typeName, List<long> shape, long begin, long end, long dataStart, List<Problem> problems)
    {
        if (!DTypes.TryFromSafetensors(typeName, out var type))
        {
            problems.Add(Problem.Error($"{path}: tensor '{name}' has dtype '{typeName}', which is not supported; known: "
                + string.Join(", ", Enum.GetValues<DType>().Select(known => known.SafetensorsName()))));
            return null;
        }

        try
        {
            var bytes = shape.Aggregate((long)type.Size(), (product, extent) => checked(product * extent));
            if (end < begin || end - begin != bytes)
            {
                problems.Add(Problem.Error($"{path}: tensor '{name}' ({typeName} {TensorInfo.Text(shape)}) needs {bytes} bytes, "
                    + $"but its data_offsets [{begin}, {end}] give {end - begin}"));
                return null;
            }

            return new TensorInfo(name, type, shape, path, checked(dataStart + begin), checked(dataStart + end) - (dataStart + begin));
        }
        catch (OverflowException)
        {
            problems.Add(Problem.Error($"{path}: tensor '{name}' ({typeName} {TensorInfo.Text(shape)}) is larger than any file"));
            return null;
        }
    }
}
