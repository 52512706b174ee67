namespace MergeKit.Core.Evaluation.Data;

/// <summary>Something to evaluate on.</summary>
/// <param name="Name">What to call it in tables.</param>
/// <param name="Path">The file it came from.</param>
public abstract record DataSet(string Name, string Path)
{
    /// <summary>How many items it holds.</summary>
    public abstract int Count { get; }

    /// <summary>The first so many items; all where <paramref name="limit"/> is null.</summary>
    public DataSet First(int? limit) => limit is not { } count ? this : this switch
    {
        TextDataSet text => text with { Documents = [.. text.Documents.Take(count)] },
        ChoiceDataSet choice => choice with { Items = [.. choice.Items.Take(count)] },
        ExactDataSet exact => exact with { Items = [.. exact.Items.Take(count)] },
        _ => throw new InvalidOperationException($"a data set of type {GetType().Name} has no items"),
    };
}

/// <summary>Running text: perplexity and bits per byte.</summary>
/// <param name="Name">What to call it.</param>
/// <param name="Path">The file.</param>
/// <param name="Documents">The documents; one for a plain text file.</param>
/// <param name="IsPlainText">Whether the file is one text, so that its windows are the units of resampling.</param>
public sealed record TextDataSet(string Name, string Path, IReadOnlyList<string> Documents, bool IsPlainText) : DataSet(Name, Path)
{
    /// <inheritdoc/>
    public override int Count => Documents.Count;
}

/// <summary>One multiple-choice item: the model scores <paramref name="Delimiter"/> + choice after the context.</summary>
public sealed record ChoiceQuestion(string Context, IReadOnlyList<string> Choices, IReadOnlyList<int> Gold, string Delimiter);

/// <summary>Multiple choice: accuracy.</summary>
public sealed record ChoiceDataSet(string Name, string Path, IReadOnlyList<ChoiceQuestion> Items) : DataSet(Name, Path)
{
    /// <inheritdoc/>
    public override int Count => Items.Count;
}

/// <summary>One item of exact match: the first line of the greedy continuation, trimmed, must equal the answer.</summary>
public sealed record ExactQuestion(string Prompt, string Answer);

/// <summary>Questions with one exact answer.</summary>
public sealed record ExactDataSet(string Name, string Path, IReadOnlyList<ExactQuestion> Items) : DataSet(Name, Path)
{
    /// <inheritdoc/>
    public override int Count => Items.Count;
}
