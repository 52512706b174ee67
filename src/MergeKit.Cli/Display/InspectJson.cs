using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Inspection;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Display;

/// <summary>An inspected model as JSON. Numbers that are not finite, or not defined, are null.</summary>
internal static class InspectJson
{
    public static string Text(ModelInspection model) => new JsonObject
    {
        ["model"] = model.Path,
        ["diff"] = model.OtherPath,
        ["architecture"] = model.ArchitectureName,
        ["parameters"] = model.Parameters,
        ["files"] = new JsonArray([.. model.Files.Select(file => new JsonObject { ["name"] = Path.GetFileName(file.File), ["bytes"] = file.Bytes })]),
        ["metadata"] = new JsonObject(model.Metadata.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
        ["tokenizer_files"] = new JsonArray([.. model.TokenizerFiles.Select(name => JsonValue.Create(name))]),
        ["tensors"] = new JsonArray([.. model.Tensors.Select(tensor => Tensor(tensor, model.OtherPath is not null))]),
        ["components"] = new JsonArray([.. model.Statistics(place => place.Component).Select(row => Add(Statistics(row.Sum), "component", row.Key))]),
        ["differences"] = new JsonArray([.. model.Differences(place => place).Select(row => Add(Add(Difference(row.Sum), "layer", row.Key.Layer), "component", row.Key.Component))]),
        ["difference"] = model.Differences(_ => 0) is [var all] ? Difference(all.Sum) : null,
    }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });

    private static JsonObject Tensor(InspectedTensor tensor, bool compared)
    {
        var json = Info(tensor.Tensor ?? tensor.Other!);
        if (tensor.Statistics is { } statistics)
            json["statistics"] = Statistics(statistics);
        if (!compared)
            return json;
        json["mismatch"] = tensor.Mismatch;
        json["other"] = tensor.Other is null ? null : Info(tensor.Other);
        json["difference"] = tensor.Difference is { } difference ? Difference(difference) : null;
        return json;
    }

    private static JsonObject Info(TensorInfo tensor) => new()
    {
        ["name"] = tensor.Name,
        ["dtype"] = tensor.DType.TorchName(),
        ["shape"] = new JsonArray([.. tensor.Shape.Select(extent => JsonValue.Create(extent))]),
        ["parameters"] = tensor.ElementCount,
    };

    private static JsonObject Statistics(TensorStatistics s) => new()
    {
        ["count"] = s.Count,
        ["norm"] = Number(s.Norm),
        ["mean"] = Number(s.Mean),
        ["min"] = Number(s.Min),
        ["max"] = Number(s.Max),
        ["nan"] = s.NaNs,
        ["infinite"] = s.Infinities,
        ["zeros"] = s.Zeros,
        ["zero_share"] = Number(s.ZeroShare),
    };

    private static JsonObject Difference(TensorDifference d) => new()
    {
        ["compared"] = d.Compared,
        ["relative_delta"] = Number(d.RelativeDelta),
        ["cosine"] = Number(d.Cosine),
        ["sign_agreement"] = Number(d.SignAgreement),
        ["equal_share"] = Number(d.EqualShare),
    };

    private static JsonObject Add(JsonObject json, string key, JsonNode? value)
    {
        json.Insert(0, key, value);
        return json;
    }

    private static JsonValue? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
