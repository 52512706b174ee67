using MergeKit.Core.Diagnostics;

namespace MergeKit.Inference.Runtime;

/// <summary>How the next token is drawn. Steps apply in the order of the members.</summary>
public sealed record SamplerOptions
{
    /// <summary>Logits of ids already there are divided by this where positive, multiplied where negative (arXiv 1909.05858); 1 changes nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Logits are divided by this; 0 takes the largest logit (greedy), the lowest id among equals.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>Only the k most probable ids; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the most probable ids until their probabilities reach p (arXiv 1904.09751); 1 for all.</summary>
    public float TopP { get; init; } = 1;

    /// <summary>Only ids at least this share as probable as the most probable one (arXiv 2407.01082); 0 for all.</summary>
    public float MinP { get; init; }

    /// <summary>The draw is a pure function of logits, seed and step.</summary>
    public ulong Seed { get; init; }

    /// <summary>Fails where a value is out of range; names all.</summary>
    /// <exception cref="InputException">A value is out of range.</exception>
    public void Check()
    {
        var problems = new List<Problem>();
        Require(RepetitionPenalty > 0 && float.IsFinite(RepetitionPenalty), "repetition penalty", RepetitionPenalty, "above 0");
        Require(Temperature >= 0 && float.IsFinite(Temperature), "temperature", Temperature, "0 or above");
        Require(TopK >= 0, "top-k", TopK, "0 (off) or above");
        Require(TopP is > 0 and <= 1, "top-p", TopP, "above 0 and at most 1");
        Require(MinP is >= 0 and <= 1, "min-p", MinP, "from 0 to 1");
        if (problems.Count > 0)
            throw new InputException(problems);

        void Require(bool holds, string name, object seen, string wanted)
        {
            if (!holds)
                problems.Add(Problem.Error($"{name} is {seen}; {wanted} is wanted"));
        }
    }
}
