using System.Diagnostics;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;

namespace MergeKit.Cli.Display;

/// <summary>Shows a run on a terminal: problems, and one line of progress that is rewritten. In a pipe only the problems are printed.</summary>
internal sealed class RunDisplay(TextWriter writer, bool quiet)
{
    private const int BarWidth = 24;

    private bool IsTerminal => !quiet && ReferenceEquals(writer, Console.Error) && !Console.IsErrorRedirected;

    /// <summary>Prints warnings and errors; notes unless quiet. Errors that end the run are printed where it ends.</summary>
    public void ShowProblems(IEnumerable<Problem> problems) => ProblemPrinter.Print(
        problems.Where(problem => problem.Severity == Severity.Warning || (problem.Severity == Severity.Note && !quiet)), writer);

    /// <summary>Says what goes on, on a terminal only.</summary>
    public void Say(string text)
    {
        if (IsTerminal)
            writer.WriteLine($"\n{text}");
    }

    /// <summary>Rewrites one line of progress, on a terminal only.</summary>
    public void Rewrite(string text)
    {
        if (IsTerminal)
            writer.Write($"\r{text,-76}");
    }

    /// <summary>Follows a run until disposed.</summary>
    public IDisposable Follow(string name, MergeProgress progress) => new Line(this, seconds => Text(name, progress, seconds));

    /// <summary>Follows a count until disposed.</summary>
    public IDisposable Count(Func<(string Stage, long Done, long Total)> read) => new Line(this, seconds =>
    {
        var (stage, done, total) = read();
        return $"{Bar(done, total)}  {done:N0}/{total:N0} {stage}  {Left(done, total, seconds):mm\\:ss} left ";
    });

    /// <summary>The line of a merge: bytes, tensors, rate, time left, and the matrix that is decomposed.</summary>
    internal static string Text(string name, MergeProgress progress, double seconds)
    {
        var (done, total) = (progress.Bytes, progress.TotalBytes);
        return $"{name}: {Bar(done, total)}  {progress.Tensors}/{progress.TotalTensors} tensors  {done / 1e9:F2}/{total / 1e9:F2} GB  "
            + $"{done / 1e9 / seconds:F2} GB/s  {Left(done, total, seconds):mm\\:ss} left {Matrices(progress)}";
    }

    /// <summary>How many matrices are decomposed, and which one is; the rest of the line is cleared, because names differ in length.</summary>
    private static string Matrices(MergeProgress progress) =>
        progress.TotalMatrices == 0 ? "" : $" {progress.Matrices}/{progress.TotalMatrices} matrices{(progress.Matrix is { } current ? $": {current}" : "")}\u001b[K";

    private static string Bar(long done, long total)
    {
        var filled = (int)(BarWidth * done / Math.Max(1, total));
        return $"[{new string('#', filled)}{new string('.', BarWidth - filled)}] {100 * done / Math.Max(1, total),3} %";
    }

    private static TimeSpan Left(long done, long total, double seconds) => done > 0 ? TimeSpan.FromSeconds((total - done) * seconds / done) : TimeSpan.Zero;

    private sealed class Line : IDisposable
    {
        private readonly RunDisplay _display;
        private readonly Func<double, string> _text;
        private readonly Stopwatch _watch = Stopwatch.StartNew();
        private readonly Timer? _timer;

        public Line(RunDisplay display, Func<double, string> text)
        {
            (_display, _text) = (display, text);
            if (display.IsTerminal)
                _timer = new Timer(_ => Draw(), null, 200, 200);
        }

        public void Dispose()
        {
            if (_timer is null)
                return;
            using var stopped = new ManualResetEvent(false);
            if (_timer.Dispose(stopped))
                stopped.WaitOne();
            Draw();
            _display.Write("\n");
        }

        private void Draw() => _display.Write("\r" + _text(Math.Max(0.001, _watch.Elapsed.TotalSeconds)));
    }

    private void Write(string text) => writer.Write(text);
}
