using System.IO.Hashing;
using System.Text;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes.Searching;

namespace MergeKit.Inference.Searching;

/// <summary>Identifies a search with its inputs: the document, the models as they lie on disk, and the bytes of the tuning data.</summary>
internal static class SearchIdentity
{
    /// <summary>Equal for equal work, 32 hexadecimal digits.</summary>
    public static string Take(SearchRecipe search, MergePlan opened, IEnumerable<string> files)
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes($"{search.Yaml}\n{InputIdentity.Take(opened)}\n"));
        foreach (var file in files)
            hash.Append(File.ReadAllBytes(file));
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
