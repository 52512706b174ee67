namespace MergeKit.Core.Ensembles.Learning;

/// <summary>One member's logits at the answer positions, made anew whenever they are read: never all of them at once.</summary>
public interface IAnswerLogits
{
    /// <summary>Answer positions.</summary>
    int Positions { get; }

    /// <summary>Logits per position.</summary>
    int VocabularySize { get; }

    /// <summary>Writes the logits (or log-probabilities) of <paramref name="count"/> positions from <paramref name="first"/> on, [count, vocabulary].</summary>
    void Read(int first, int count, Span<double> logits);
}

/// <summary>Logits held in memory, for small cases.</summary>
public sealed class ArrayLogits(IReadOnlyList<double[]> rows) : IAnswerLogits
{
    /// <inheritdoc/>
    public int Positions => rows.Count;

    /// <inheritdoc/>
    public int VocabularySize => rows[0].Length;

    /// <inheritdoc/>
    public void Read(int first, int count, Span<double> logits)
    {
        for (var i = 0; i < count; i++)
            rows[first + i].CopyTo(logits.Slice(i * VocabularySize, VocabularySize));
    }
}
