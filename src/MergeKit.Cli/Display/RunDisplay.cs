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
    public IDisposable Follow(string name, MergeProgress progress) => new Line(this, name, progress);

    private sealed class Line : IDisposable
    {
        private readonly RunDisplay _display;
        private readonly string _name;
        private readonly MergeProgress _progress;
        private readonly Stopwatch _watch = Stopwatch.StartNew();
        private readonly Timer? _timer;

        public Line(RunDisplay display, string name, MergeProgress progress)
        {
            (_display, _name, _progress) = (display, name, progress);
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

        private void Draw()
        {
            var (done, total) = (_progress.Bytes, Math.Max(1, _progress.TotalBytes));
            var rate = done / Math.Max(0.001, _watch.Elapsed.TotalSeconds);
            var filled = (int)(BarWidth * done / total);
            var left = rate > 0 ? TimeSpan.FromSeconds((total - done) / rate) : TimeSpan.Zero;
            _display.Write($"\r{_name}: [{new string('#', filled)}{new string('.', BarWidth - filled)}] {100 * done / total,3} %  "
                + $"{_progress.Tensors}/{_progress.TotalTensors} tensors  {done / 1e9:F2}/{total / 1e9:F2} GB  {rate / 1e9:F2} GB/s  {left:mm\\:ss} left ");
        }
    }

    private void Write(string text) => writer.Write(text);
}
