using System.Globalization;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Inspection;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Display;

/// <summary>An inspected model as tables.</summary>
internal static class InspectReport
{
    public static void Print(ModelInspection model, TextWriter writer)
    {
        PrintHeader(model, writer);
        PrintTensors(model, writer);
        if (model.OtherPath is not null)
            PrintDifferences(model, writer);
        else if (model.Tensors.Any(tensor => tensor.Statistics is not null))
            PrintComponents(model, writer);
        PrintHealth(model, writer);
    }

    private static void PrintHeader(ModelInspection model, TextWriter writer)
    {
        var types = model.Tensors.Where(tensor => tensor.Tensor is not null).GroupBy(tensor => tensor.Tensor!.DType)
            .Select(group => $"{group.Key.SafetensorsName()} ({group.Count()} tensors, {group.Sum(tensor => tensor.Tensor!.ElementCount):N0})");
        var architecture = model.ArchitectureName is null ? "none named" : model.ArchitectureName + (model.IsKnownArchitecture ? "" : " (not a known one)");
        writer.WriteLine($"model         {TextTable.Clean(model.Path)}");
        if (model.OtherPath is { } other)
            writer.WriteLine($"compared with {TextTable.Clean(other)}");
        writer.WriteLine($"architecture  {TextTable.Clean(architecture)}");
        writer.WriteLine($"parameters    {model.Parameters:N0} in {model.Tensors.Count(tensor => tensor.Tensor is not null)} tensors");
        writer.WriteLine($"dtypes        {string.Join(", ", types)}");
        writer.WriteLine($"files         {model.Files.Count}, {model.Files.Sum(file => file.Bytes):N0} bytes");
        writer.WriteLine($"metadata      {(model.Metadata.Count == 0 ? "none" : TextTable.Clean(string.Join(", ", model.Metadata.Select(pair => $"{pair.Key}={pair.Value}"))))}");
        writer.WriteLine($"tokenizer     {(model.TokenizerFiles.Count == 0 ? "none" : string.Join(", ", model.TokenizerFiles))}");
        writer.WriteLine();
    }

    private static void PrintTensors(ModelInspection model, TextWriter writer)
    {
        var withData = model.Tensors.Any(tensor => tensor.Statistics is not null);
        var compared = model.OtherPath is not null;
        string[] headers = ["tensor", "dtype", "shape", "#parameters",
            .. withData ? new[] { "#norm", "#mean", "#min", "#max", "#zeros", "#not finite" } : [],
            .. compared && withData ? new[] { "#rel. delta", "#cosine", "#signs agree" } : [], .. compared ? new[] { "note" } : []];
        var table = new TextTable(headers);
        foreach (var tensor in model.Tensors)
            table.Add([.. Facts(tensor.Tensor ?? tensor.Other!), .. withData ? Numbers(tensor.Statistics) : [],
                .. compared && withData ? Numbers(tensor.Difference) : [], .. compared ? new[] { Note(tensor) } : []]);
        table.Write(writer);
        writer.WriteLine();
    }

    private static void PrintComponents(ModelInspection model, TextWriter writer)
    {
        foreach (var (title, sums) in new[] { ("component", model.Statistics(place => place.Component)), ("layer", model.Statistics(LayerText)) })
        {
            var table = new TextTable(title, "#parameters", "#norm", "#mean", "#min", "#max", "#zeros", "#not finite");
            foreach (var (key, sum) in sums)
                table.Add([key, sum.Count.ToString("N0", CultureInfo.InvariantCulture), .. Numbers(sum)]);
            table.Write(writer);
            writer.WriteLine();
        }
    }

    /// <summary>Relative deltas: a row per layer, a column per component of the layers; then components as a whole.</summary>
    private static void PrintDifferences(ModelInspection model, TextWriter writer)
    {
        var components = model.Differences(place => place.Component);
        if (components.Count == 0)
            return;
        var table = new TextTable("component", "#rel. delta", "#cosine", "#signs agree");
        foreach (var (component, sum) in components)
            table.Add([component, .. Numbers(sum)]);
        table.Add(["all", .. Numbers(model.Differences(_ => 0)[0].Sum)]);
        table.Write(writer);
        writer.WriteLine();
        var cells = model.Differences(place => place).Where(cell => cell.Key.Layer is not null).ToDictionary(cell => cell.Key, cell => cell.Sum);
        if (cells.Count == 0)
            return;
        var columns = cells.Keys.Select(place => place.Component).Distinct(StringComparer.Ordinal).ToList();
        var layers = new TextTable(["rel. delta", "#all", .. columns.Select(column => "#" + column)]);
        foreach (var (layer, sum) in model.Differences(place => place.Layer ?? -1).Where(row => row.Key >= 0).OrderBy(row => row.Key))
            layers.Add([$"layer {layer}", Number(sum.RelativeDelta),
                .. columns.Select(column => cells.TryGetValue(new ComponentName(layer, column), out var cell) ? Number(cell.RelativeDelta) : "-")]);
        layers.Write(writer);
        writer.WriteLine();
    }

    private static void PrintHealth(ModelInspection model, TextWriter writer)
    {
        foreach (var tensor in model.Tensors.Where(tensor => tensor.Statistics is { NotFinite: > 0 }))
        {
            var s = tensor.Statistics!.Value;
            writer.WriteLine($"not finite: {TextTable.Clean(tensor.Name)} has {s.NaNs} NaN and {s.Infinities} infinite of {s.Count} elements; the numbers above leave them out");
        }
    }

    private static string LayerText(ComponentName place) => place.Layer is { } layer ? $"layer {layer}" : "outside the layers";

    private static string Note(InspectedTensor tensor) =>
        tensor.Mismatch ?? (tensor.Tensor!.DType == tensor.Other!.DType ? "" : $"other dtype: {tensor.Other.DType.SafetensorsName()}");

    private static string[] Facts(TensorInfo tensor) =>
        [tensor.Name, tensor.TypeText, tensor.ShapeText, tensor.ElementCount.ToString("N0", CultureInfo.InvariantCulture)];

    private static string[] Numbers(TensorStatistics? statistics) => statistics is not { } s ? ["-", "-", "-", "-", "-", "-"]
        : [Number(s.Norm), Number(s.Mean), s.Count > s.NotFinite ? Number(s.Min) : "-", s.Count > s.NotFinite ? Number(s.Max) : "-", Share(s.ZeroShare),
            s.NotFinite == 0 ? "0" : $"{s.NaNs} NaN, {s.Infinities} Inf"];

    private static string[] Numbers(TensorDifference? difference) => difference is not { } d ? ["-", "-", "-"]
        : [Number(d.RelativeDelta), double.IsNaN(d.Cosine) ? "-" : d.Cosine.ToString("F6", CultureInfo.InvariantCulture), Share(d.SignAgreement)];

    private static string Number(double value) => double.IsNaN(value) ? "-" : double.IsInfinity(value) ? (value > 0 ? "Inf" : "-Inf") : value.ToString("G5", CultureInfo.InvariantCulture);

    private static string Share(double value) => double.IsNaN(value) ? "-" : value.ToString("0.00 %", CultureInfo.InvariantCulture);
}
