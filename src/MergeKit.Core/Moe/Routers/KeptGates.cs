using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Routing tensors that were worked out, kept in the work folder so that an interrupted run need not work them out again.</summary>
/// <remarks>The file holds the key (16 bytes), the float32 elements of every tensor in order, and a checksum (8 bytes) of all before it; a torn
/// or foreign file counts as absent.</remarks>
/// <param name="mixture">The mixture.</param>
/// <param name="plan">Its plan.</param>
public sealed class KeptGates(Mixture mixture, MergePlan plan)
{
    /// <summary>The file's name within the folder under construction.</summary>
    public const string FileName = "gates";

    private const int KeyBytes = 16, CheckBytes = 8;

    private static readonly string[] TokenizerFiles = ["tokenizer.json", "tokenizer_config.json"];

    private int Elements => (int)mixture.Gates.Sum(gate => gate.Count);

    /// <summary>Fills the tensors in from the file; false: it is absent, damaged, or was made of something else.</summary>
    public bool TryRead(OutputFolder folder)
    {
        var path = folder.PathOf(FileName);
        var bytes = OutputFolder.Guard(path, () => File.Exists(path) ? File.ReadAllBytes(path) : []);
        if (bytes.Length != KeyBytes + (Elements * sizeof(float)) + CheckBytes || !bytes.AsSpan(0, KeyBytes).SequenceEqual(Key())
            || !bytes.AsSpan(bytes.Length - CheckBytes).SequenceEqual(XxHash3.Hash(bytes.AsSpan(0, bytes.Length - CheckBytes))))
            return false;
        var at = KeyBytes;
        foreach (var gate in mixture.Gates)
        {
            var size = (int)gate.Count * sizeof(float);
            gate.Fill(MemoryMarshal.Cast<byte, float>(bytes.AsSpan(at, size)).ToArray());
            at += size;
        }

        return true;
    }

    /// <summary>Keeps the tensors as they are filled in: the file stands whole, or not at all.</summary>
    public void Write(OutputFolder folder)
    {
        var bytes = new byte[KeyBytes + (Elements * sizeof(float)) + CheckBytes];
        Key().CopyTo(bytes, 0);
        var at = KeyBytes;
        foreach (var gate in mixture.Gates)
        {
            var values = MemoryMarshal.AsBytes(gate.Values);
            values.CopyTo(bytes.AsSpan(at));
            at += values.Length;
        }

        XxHash3.Hash(bytes.AsSpan(0, at)).CopyTo(bytes, at);
        var path = folder.PathOf(FileName);
        OutputFolder.Guard(path, () =>
        {
            File.WriteAllBytes(path + ".partial", bytes);
            File.Move(path + ".partial", path, overwrite: true);
            return true;
        });
    }

    /// <summary>Everything that the elements depend on: the plan (recipe, seed, models as they lie on disk), the tokenizer, the contents of the
    /// experts' texts, and the program itself.</summary>
    private byte[] Key()
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes($"{InputIdentity.Take(plan)}\n{plan.Recipe.Yaml}\n{typeof(KeptGates).Module.ModuleVersionId}\n"));
        var texts = mixture.Settings.Experts.Select(expert => expert.Data).OfType<string>().Distinct().Select(data => InputFile.Resolve(data, mixture.RecipeFile, plan.Options));
        foreach (var path in TokenizerFiles.Select(name => Path.Combine(mixture.TokenizerFolder, name)).Concat(texts))
            hash.Append(Encoding.UTF8.GetBytes($"{InputFile.ContentKey(path)}\n"));

        return hash.GetCurrentHash();
    }
}
