using System.Text.RegularExpressions;

namespace MergeKit.Core.Tests.House;

/// <summary>The rules of the house that a reader of the source can check.</summary>
public partial class StyleTests
{
    private const int MaxLines = 500, MaxLinesAt90th = 300;

    // Written in two parts, so that this file does not break its own rule.
    private static readonly string[] Unfinished = ["TO" + "DO", "FIX" + "ME", "HA" + "CK", "NotImplemented" + "Exception"];
    private static readonly string[] MachinePaths = ["/wo" + "rk/", "/fa" + "rm/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/", "C:" + "\\"];

    [GeneratedRegex(@"^\s*(?:(?:public|private|internal|protected)\s+)+static\s+(?!readonly\b|partial\b|class\b|async\b|extern\b|implicit\b|explicit\b|event\b|unsafe\b)(?:\([^()]*\)|[\w.]+(?:<[^()]*>)?)[\[\]?,]*\s+\w+\s*(=(?!>).*)?;\s*$|\bstatic\b.*\{\s*get;.*\bset;")]
    private static partial Regex MutableStatic();

    [GeneratedRegex(@"^namespace (?<name>[\w.]+);")]
    private static partial Regex Namespace();

    [Fact]
    public void No_file_is_too_long() =>
        Assert.Empty(Code().Where(file => file.Lines.Count > MaxLines).Select(file => $"{file.Path}: {file.Lines.Count} lines"));

    [Fact]
    public void Nine_files_in_ten_are_short()
    {
        var lengths = Code().Select(file => file.Lines.Count).Order().ToList();
        Assert.InRange(lengths[(int)(0.9 * (lengths.Count - 1))], 1, MaxLinesAt90th);
    }

    [Fact]
    public void Nothing_is_left_unfinished() => Assert.Empty(Containing(Code(), Unfinished));

    [Fact]
    public void No_path_of_a_machine_is_written_down() => Assert.Empty(Containing(SourceTree.Texts(), MachinePaths));

    [Fact]
    public void No_test_is_skipped_for_good() =>
        Assert.Empty(Code().SelectMany(file => file.Lines.Where(line => Regex.IsMatch(line, @"\[(Fact|Theory).*\bSkip\s*=")).Select(line => $"{file.Path}: {line.Trim()}")));

    [Fact]
    public void No_static_can_change() => Assert.Empty(
        from file in Code() where file.Path.StartsWith("src/", StringComparison.Ordinal) from line in file.Code where MutableStatic().IsMatch(line) select $"{file.Path}: {line.Trim()}");

    [Fact]
    public void Namespaces_are_folders() => Assert.Empty(
        from file in SourceTree.Files(".cs")
        where file.Path.StartsWith("src/", StringComparison.Ordinal)
        from line in file.Lines
        let name = Namespace().Match(line)
        where name.Success && name.Groups["name"].Value != file.Folder["src/".Length..].Replace('/', '.')
        select $"{file.Path}: {name.Groups["name"].Value}");

    [Fact]
    public void Inheritance_is_one_level_deep() => Assert.Empty(
        from type in typeof(Diagnostics.InputException).Assembly.GetTypes()
        where type.BaseType is { BaseType: { } second } && type.BaseType.Assembly == type.Assembly && second.Assembly == type.Assembly
        select type.FullName);

    [Theory]
    [InlineData("    private static int _count;", true)]
    [InlineData("    internal static Dictionary<string, int> Cache = new();", true)]
    [InlineData("    public static int Limit { get; set; }", true)]
    [InlineData("    private static readonly int[] Table = [1];", false)]
    [InlineData("    public static int Limit => 4;", false)]
    [InlineData("    public static int Limit { get; } = 4;", false)]
    [InlineData("    public static Foo Open(string path) => new(path);", false)]
    [InlineData("    public static Foo Open(string path, Bar? at = null) => new(path, at);", false)]
    [InlineData("    private static (int A, string B)? _pair = null;", true)]
    [InlineData("    private const int Max = 4;", false)]
    [InlineData("    private static partial int Call(int x);", false)]
    public void The_rule_for_statics_tells_right_from_wrong(string line, bool isMutable) => Assert.Equal(isMutable, MutableStatic().IsMatch(line));

    [Fact]
    public void The_source_is_really_read()
    {
        Assert.Contains(Code(), file => file.Path == "src/MergeKit.Core/Checkpoints/Checkpoint.cs" && file.Lines.Count > 20);
        Assert.Single(Containing([new SourceFile("a.cs", ["x", "// " + Unfinished[0]])], Unfinished));
    }

    private static IReadOnlyList<SourceFile> Code() => SourceTree.Files(".cs", ".cu", ".cuh");

    private static IEnumerable<string> Containing(IEnumerable<SourceFile> files, string[] words) =>
        from file in files from line in file.Lines from word in words where line.Contains(word, StringComparison.Ordinal) select $"{file.Path}: {line.Trim()}";
}
