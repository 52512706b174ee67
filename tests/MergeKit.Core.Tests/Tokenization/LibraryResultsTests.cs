using System.Text.Json;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Small tokenizers, one or a few per component, with the results that the tokenizers library itself gives on
/// them (each file in Data names the version). All must be equal.</summary>
public sealed class LibraryResultsTests
{
    private static string Folder => Path.Combine(Repository.Root, "tests", "MergeKit.Core.Tests", "Tokenization", "Data");

    public static TheoryData<string, string> Tokenizers()
    {
        var data = new TheoryData<string, string>();
        foreach (var file in Directory.EnumerateFiles(Folder, "*.json").Order(StringComparer.Ordinal))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            foreach (var item in document.RootElement.GetProperty("tokenizers").EnumerateArray())
                data.Add(Path.GetFileName(file), item.GetProperty("name").GetString()!);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Results_equal_those_of_the_library(string file, string name)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, file)));
        var item = document.RootElement.GetProperty("tokenizers").EnumerateArray()
            .First(entry => entry.GetProperty("name").GetString() == name);
        var json = item.GetProperty("tokenizer").GetRawText();
        var tokenizer = Tokenizer.Parse(name, json);
        TokenizerCases.Check(tokenizer, item);
        if (!item.TryGetProperty("decodes", out var decodes))
            return;
        foreach (var entry in decodes.EnumerateArray())
        {
            var ids = entry.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            var skip = entry.GetProperty("skip_special").GetBoolean();
            Assert.Equal(entry.GetProperty("text").GetString(), tokenizer.Decode(ids, skip));
            Assert.Equal(entry.GetProperty("text").GetString(), TokenizerCases.Stream(tokenizer, ids, skip));
        }
    }
}
