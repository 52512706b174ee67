using System.Collections.Concurrent;
using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Tests.Conformance;

/// <summary>The held-out texts as token ids; every trained model has the same tokenizer.</summary>
public sealed class HeldOutTexts
{
    private readonly ConcurrentDictionary<string, int[]> _ids = new();

    public int[] Ids(string domain, string modelFolder) =>
        _ids.GetOrAdd(domain, name => Tokenizer.Load(modelFolder).Encode(File.ReadAllText(Repository.RequireEvalFile(name, "heldout.txt")), addSpecialTokens: false));
}
