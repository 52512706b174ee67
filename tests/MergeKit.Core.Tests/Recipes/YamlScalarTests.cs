using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Recipes;

/// <summary>What a plain scalar means. Kinds and numbers were computed with PyYAML 6.0.3 (safe_load) and, for text where a number is wanted,
/// Python's float(), which is what mergekit's validation applies.</summary>
public class YamlScalarTests
{
    private const double Inf = double.PositiveInfinity;

    private static readonly (string Text, string Kind, double? Number)[] Golden =
    [
        ("0", "Integer", 0.0), ("1", "Integer", 1.0), ("-1", "Integer", -1.0), ("+7", "Integer", 7.0), ("010", "Integer", 8.0),
        ("0o10", "Text", null), ("08", "Text", 8.0), ("0b11", "Integer", 3.0), ("0b", "Text", null), ("-0b101", "Integer", -5.0),
        ("0x1F", "Integer", 31.0), ("0xg", "Text", null), ("1_000", "Integer", 1000.0), ("1__0", "Integer", 10.0), ("_1", "Text", null),
        ("1_000.5", "Float", 1000.5), ("1:30", "Integer", 90.0), ("-1:30", "Integer", -90.0), ("1:30.5", "Float", 90.5), ("1:90", "Text", null),
        ("1e3", "Text", 1000.0), ("1e-3", "Text", 0.001), ("1.0e3", "Text", 1000.0), ("1.0e-3", "Float", 0.001), ("1.5E+2", "Float", 150.0),
        ("-2.5e-1", "Float", -0.25), (".5", "Float", 0.5), ("-.5", "Text", -0.5), ("+.5", "Text", 0.5), ("5.", "Float", 5.0), ("-5.", "Float", -5.0),
        (".5e-1", "Float", 0.05), (".inf", "Float", Inf), ("-.inf", "Float", -Inf), ("+.INF", "Float", Inf), (".nan", "Float", double.NaN),
        (".NaN", "Float", double.NaN), ("true", "Boolean", 1.0), ("True", "Boolean", 1.0), ("TRUE", "Boolean", 1.0), ("tRue", "Text", null),
        ("yes", "Boolean", 1.0), ("Yes", "Boolean", 1.0), ("no", "Boolean", 0.0), ("NO", "Boolean", 0.0), ("on", "Boolean", 1.0),
        ("off", "Boolean", 0.0), ("Off", "Boolean", 0.0), ("y", "Text", null), ("n", "Text", null), ("~", "Null", null), ("null", "Null", null),
        ("Null", "Null", null), ("nULL", "Text", null), ("2020-01-01", "Text", null), ("1.2.3", "Text", null), ("-a", "Text", null), ("1a", "Text", null),
        ("0.1", "Float", 0.1), ("00", "Integer", 0.0), ("0_", "Integer", 0.0), ("12345678901234567890", "Integer", 1.2345678901234567e+19),
        ("1e400", "Text", Inf), ("1.0e+400", "Float", Inf), ("0.1_5", "Float", 0.15), ("1,5", "Text", null), ("0xFF_FF", "Integer", 65535.0),
        ("-0", "Integer", 0.0), ("-0.0", "Float", -0.0),
    ];

    /// <summary>The rows of the table.</summary>
    public static TheoryData<string, string, double?> Rows()
    {
        var data = new TheoryData<string, string, double?>();
        foreach (var (text, kind, number) in Golden)
            data.Add(text, kind, number);
        return data;
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void AsANumber(string text, string kind, double? number)
    {
        if (kind == "Null" || number is null || !double.IsFinite(number.Value))
        {
            var error = Assert.Throws<InputException>(() => Parameter(text));
            Assert.Contains("'x' is", error.Message, StringComparison.Ordinal);
            return;
        }

        var value = Parameter(text);
        Assert.Equal(kind == "Boolean", value is BooleanValue);
        Assert.Equal(number, value.Resolve("any", 0));
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void AsText(string text, string kind, double? number)
    {
        _ = number;
        var recipe = $"merge_method: {text}\nmodels: [{{model: m}}]";
        if (kind == "Text")
            Assert.Equal(text, RecipeReader.Parse("r.yml", recipe)[0].MergeMethod);
        else
            Assert.Contains("merge_method", Assert.Throws<InputException>(() => RecipeReader.Parse("r.yml", recipe)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"0.5\"", 0.5)]
    [InlineData("' 2 '", 2.0)]
    [InlineData("!!float 1", 1.0)]
    [InlineData("!!float 1e3", 1000.0)]
    [InlineData("!!int 0x10", 16.0)]
    [InlineData("!!str 7", 7.0)]
    public void QuotedAndTaggedNumbers(string text, double number) => Assert.Equal(number, Parameter(text).Resolve("any", 0));

    private static ParameterValue Parameter(string text) =>
        RecipeReader.Parse("r.yml", $"merge_method: linear\nmodels:\n  - model: m\nparameters:\n  x: {text}\n")[0].Parameters.Values["x"];
}
