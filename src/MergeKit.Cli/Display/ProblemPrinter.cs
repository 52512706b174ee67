using MergeKit.Core.Diagnostics;

namespace MergeKit.Cli.Display;

/// <summary>Prints problems, one a line, errors last so that they stand next to the prompt.</summary>
internal static class ProblemPrinter
{
    public static void Print(IEnumerable<Problem> problems, TextWriter writer)
    {
        foreach (var problem in problems.OrderBy(problem => problem.Severity))
            writer.WriteLine(problem);
    }
}
