using System.Text;
using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Evaluation.Data;

/// <summary>Files with one JSON object a line.</summary>
internal static class JsonLines
{
    /// <summary>Problems reported at once.</summary>
    public const int MaxProblems = 20;

    private const long MaxFileSize = 1L << 30;

    /// <summary>UTF-8 that refuses what is not.</summary>
    public static UTF8Encoding Strict { get; } = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a file whole. Errors: <see cref="InputException"/> where there is none or it is too large.</summary>
    public static byte[] ReadBytes(string path)
    {
        try
        {
            var info = new FileInfo(path);
            if (!info.Exists)
                throw new InputException(Directory.Exists(path) ? $"{path}: this is a folder; a file is wanted" : $"{path}: no such file");
            return info.Length <= MaxFileSize ? File.ReadAllBytes(path)
                : throw new InputException($"{path}: {info.Length} bytes; evaluation data of at most {MaxFileSize} bytes are supported");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    /// <summary>The objects with their lines; blank lines are skipped, lines that are no object noted.</summary>
    public static List<(int Line, JsonElement Value)> Parse(string path, byte[] bytes, List<Problem> problems)
    {
        var lines = new List<(int, JsonElement)>();
        var start = bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? 3 : 0;
        for (var number = 1; start < bytes.Length && problems.Count < MaxProblems; number++)
        {
            var end = Array.IndexOf(bytes, (byte)'\n', start) is >= 0 and var at ? at : bytes.Length;
            var line = bytes.AsSpan(start, end - start).Trim(" \t\r"u8);
            start = end + 1;
            if (line.IsEmpty)
                continue;
            try
            {
                Strict.GetCharCount(line);
                var value = JsonSerializer.Deserialize<JsonElement>(line);
                if (value.ValueKind == JsonValueKind.Object)
                    lines.Add((number, value));
                else
                    problems.Add(Problem.Error($"{path}:{number}: a JSON object was expected, not {value.ValueKind}"));
            }
            catch (DecoderFallbackException error)
            {
                problems.Add(Problem.Error($"{path}:{number}: not valid UTF-8 at byte {error.Index} of the line"));
            }
            catch (JsonException error)
            {
                problems.Add(Problem.Error($"{path}:{number}: not valid JSON: {error.Message}"));
            }
        }

        return lines;
    }
}
