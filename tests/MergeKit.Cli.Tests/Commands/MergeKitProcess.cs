using System.Diagnostics;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>The real program, as a process of its own.</summary>
internal sealed class MergeKitProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task<string> _error;

    private MergeKitProcess(ProcessStartInfo info)
    {
        _process = Process.Start(info)!;
        (_output, _error) = (_process.StandardOutput.ReadToEndAsync(), _process.StandardError.ReadToEndAsync());
    }

    /// <summary>Where the program lies: beside the tests.</summary>
    public static string Program => Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "mergekit.exe" : "mergekit");

    public int Id => _process.Id;

    /// <summary>Whether the program has ended, or does within ten milliseconds.</summary>
    public bool EndsSoon => _process.WaitForExit(TimeSpan.FromMilliseconds(10));

    public static MergeKitProcess Start(params IEnumerable<string> arguments) => StartUnder(Program, arguments);

    /// <summary>Starts the program through another one, such as <c>setpriv</c>.</summary>
    public static MergeKitProcess StartUnder(string program, IEnumerable<string> arguments) => new(new ProcessStartInfo(program, arguments)
    {
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        UseShellExecute = false,
    });

    public static RunResult Run(params IEnumerable<string> arguments)
    {
        using var process = Start(arguments);
        return process.Finish();
    }

    public RunResult Finish()
    {
        _process.WaitForExit();
        return new RunResult(_process.ExitCode, _output.Result, _error.Result);
    }

    /// <summary>Waits; true: it ended by itself. False: it was killed at the end of the time, at whatever it was doing.</summary>
    public bool EndsWithin(TimeSpan time)
    {
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed + TimeSpan.FromMilliseconds(3) < time)
            if (_process.WaitForExit(time - watch.Elapsed - TimeSpan.FromMilliseconds(2)))
                return true;
        _process.Kill();
        _process.WaitForExit();
        return _process.ExitCode == 0;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit(); // until then it may hold locks
        _process.Dispose();
    }
}
