namespace MergeKit.Core.Diagnostics;

/// <summary>The base of every failure that the tool reports in its own words, without a stack trace.</summary>
public abstract class MergeKitException : Exception
{
    /// <summary>Says what happened.</summary>
    protected MergeKitException(string message, Exception? inner = null) : base(message, inner) { }
}

/// <summary>What the user gave cannot be used (exit code 2). Carries every problem found, not only the first.</summary>
public sealed class InputException : MergeKitException
{
    /// <summary>One problem.</summary>
    public InputException(string message, Exception? inner = null) : base(message, inner) => Problems = [Problem.Error(message)];

    /// <summary>Several problems; at least one is an error.</summary>
    public InputException(IReadOnlyList<Problem> problems)
        : base(string.Join(Environment.NewLine, problems.Where(p => p.Severity == Severity.Error))) => Problems = problems;

    /// <summary>Everything found, errors and warnings, in the order of discovery.</summary>
    public IReadOnlyList<Problem> Problems { get; }
}

/// <summary>The machine refused: disk full, no permission, read error (exit code 1).</summary>
public sealed class EnvironmentException(string message, Exception? inner = null) : MergeKitException(message, inner);
