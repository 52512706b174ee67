using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace MergeKit.Benchmarks;

/// <summary>A Python child that times PyTorch's kernels on the same GPU in turn with ours; see torch_peer.py.</summary>
internal sealed class TorchPeer : IDisposable
{
    private readonly Process _process;

    private TorchPeer(Process process, string version) => (_process, Version) = (process, version);

    /// <summary>What it runs on.</summary>
    public string Version { get; }

    /// <summary>Starts the child; null where there is no Python with PyTorch and CUDA.</summary>
    public static TorchPeer? Start()
    {
        var info = new ProcessStartInfo("python3", [Path.Combine(AppContext.BaseDirectory, "torch_peer.py")]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        try
        {
            var process = Process.Start(info);
            if (process is null)
                return null;
            return process.StandardOutput.ReadLine() is { } version ? new TorchPeer(process, version) : null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    /// <summary>Milliseconds; NaN where it failed, with the reason on standard error.</summary>
    public double Ask(string question)
    {
        _process.StandardInput.WriteLine(question);
        _process.StandardInput.Flush();
        var line = _process.StandardOutput.ReadLine() ?? "error the child ended";
        if (double.TryParse(line, NumberStyles.Float, CultureInfo.InvariantCulture, out var time))
            return time;
        Console.Error.WriteLine($"{question}: {line}");
        return double.NaN;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit(10_000);
        _process.Dispose();
    }
}
