using System.Text.RegularExpressions;

namespace MergeKit.Core.Tests.House;

/// <summary>Who may use whom: Cli, then Inference, then Core; inside Core a folder uses only those listed above it.</summary>
public partial class DirectionTests
{
    /// <summary>The folders of MergeKit.Core in the order of the architecture: each may use itself and what stands above it.</summary>
    private static readonly string[] Order =
    [
        "Diagnostics", "Numerics", "Checkpoints", "Architectures", "Recipes", "Inputs", "Conversion", "Templating", "Tokenization", "Merging", "Inspection", "Moe",
        "Models", "Ensembles", "Evaluation", "Workflows", "Search", "Reports",
    ];

    /// <summary>Edges that go against the order, each agreed on; empty is best.</summary>
    private static readonly (string From, string To)[] Exceptions = [];

    [GeneratedRegex(@"\bMergeKit\.(?<project>Core|Inference|Cli)(\.(?<folder>[A-Z]\w*))?")]
    private static partial Regex Mention();

    [Fact]
    public void Core_folders_use_only_what_is_listed_above_them() =>
        Assert.Empty(CoreFiles().SelectMany(file => WrongUses(FolderOf(file.Path), file.Code).Select(to => $"{file.Path} uses {to}")));

    [Fact]
    public void Every_folder_of_core_has_a_place_in_the_order() =>
        Assert.Empty(CoreFiles().Select(file => FolderOf(file.Path)).Where(folder => folder.Length > 0).Distinct().Except(Order));

    [Fact]
    public void Projects_point_one_way()
    {
        var rank = new Dictionary<string, int> { ["Core"] = 0, ["Inference"] = 1, ["Cli"] = 2 };
        var wrong = from file in SourceTree.Files(".cs", ".csproj")
                    let owner = Regex.Match(file.Path, @"^src/MergeKit\.(\w+)/")
                    where owner.Success
                    from line in file.Code
                    where !line.Contains("InternalsVisibleTo", StringComparison.Ordinal)
                    from Match mention in Mention().Matches(line)
                    where rank[mention.Groups["project"].Value] > rank[owner.Groups[1].Value]
                    select $"{file.Path}: {line.Trim()}";
        Assert.Empty(wrong);
    }

    [Theory]
    [InlineData("Numerics", "using MergeKit.Core.Merging;", 1)]
    [InlineData("Merging", "using MergeKit.Core.Numerics;", 0)]
    [InlineData("Merging", "using static MergeKit.Core.Merging.Methods.Linear;", 0)]
    [InlineData("Checkpoints", "    => MergeKit.Core.Reports.Report.Write();", 1)]
    public void The_rule_itself_tells_right_from_wrong(string folder, string line, int wrong) =>
        Assert.Equal(wrong, WrongUses(folder, [line]).Count());

    private static IEnumerable<SourceFile> CoreFiles() =>
        SourceTree.Files(".cs").Where(file => file.Path.StartsWith("src/MergeKit.Core/", StringComparison.Ordinal));

    private static string FolderOf(string path) => path.Split('/') is { Length: > 3 } parts ? parts[2] : "";

    private static IEnumerable<string> WrongUses(string folder, IEnumerable<string> code) =>
        from line in code
        from Match mention in Mention().Matches(line)
        let used = mention.Groups["folder"].Value
        where Order.Contains(used) && Order.Contains(folder)
        where Array.IndexOf(Order, used) > Array.IndexOf(Order, folder) && !Exceptions.Contains((folder, used))
        select used;
}
