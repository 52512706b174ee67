namespace MergeKit.Core.Workflows.Distillation;

/// <summary>What a teacher says about some texts: the texts as tokens, and at every answer token its most probable tokens with the mass of the rest.</summary>
/// <param name="Teacher">Its name.</param>
/// <param name="TokenizerId">Equal for equal tokenizers; the ids mean nothing to another one.</param>
/// <param name="VocabularySize">Ids of the teacher's law.</param>
/// <param name="Temperature">Of the log-probabilities.</param>
/// <param name="Top">M, tokens kept per position.</param>
/// <param name="Ids">All sequences, prompt and answer, one after the other.</param>
/// <param name="Starts">Where each sequence begins in <paramref name="Ids"/>, and the end of the last.</param>
/// <param name="PromptLengths">Tokens of each sequence that are prompt.</param>
/// <param name="TopIds">[positions, M], by falling probability. A position is an answer token.</param>
/// <param name="TopLogProbs">[positions, M], ln p at the temperature.</param>
/// <param name="TailLogProbs">[positions], ln of the mass of all other tokens; -inf where there is none.</param>
public sealed record TeacherData(
    string Teacher, string TokenizerId, int VocabularySize, double Temperature, int Top, long[] Ids, long[] Starts, long[] PromptLengths,
    long[] TopIds, float[] TopLogProbs, float[] TailLogProbs)
{
    /// <summary>Number of sequences.</summary>
    public int Sequences => PromptLengths.Length;

    /// <summary>Number of answer tokens.</summary>
    public int Positions => TailLogProbs.Length;

    /// <summary>One sequence's tokens.</summary>
    public ReadOnlySpan<long> Sequence(int index) => Ids.AsSpan((int)Starts[index], (int)(Starts[index + 1] - Starts[index]));
}
