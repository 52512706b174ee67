namespace MergeKit.Core.Recipes.Yaml;

/// <summary>What a recipe file may contain at most; real ones stay far below.</summary>
internal static class YamlLimits
{
    /// <summary>Bytes of a file.</summary>
    public const int Bytes = 4 << 20;

    /// <summary>Nodes of a document with all aliases written out.</summary>
    public const int Nodes = 100_000;

    /// <summary>Levels of nesting with all aliases written out.</summary>
    public const int Depth = 64;

    /// <summary>Documents of a file.</summary>
    public const int Documents = 100;
}
