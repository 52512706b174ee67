using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Json;

/// <summary>Parses JSON text with errors that name the file.</summary>
internal static class JsonText
{
    /// <summary>The document; its root is an object.</summary>
    /// <exception cref="InputException">It is not valid JSON, is nested deeper than 64, or its root is no object.</exception>
    public static JsonDocument Parse(string file, string json)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json.AsMemory(json.StartsWith('\uFEFF') ? 1 : 0), new JsonDocumentOptions { MaxDepth = 64 });
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new InputException($"{file}: not valid JSON: {e.Message}", e);
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw new InputException($"{file}: is not a JSON object");
    }
}
