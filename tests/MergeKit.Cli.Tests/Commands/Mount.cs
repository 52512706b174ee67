using System.Diagnostics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>A small file system in memory, mounted for one test. Where mounting is not allowed the test is reported as not run.</summary>
internal sealed class Mount : IDisposable
{
    private Mount(string path) => Path = path;

    public string Path { get; }

    public static Mount Tmpfs(string path, string options)
    {
        Directory.CreateDirectory(path);
        var refusal = OperatingSystem.IsLinux() ? Call("mount", "-t", "tmpfs", "-o", options, "none", path) : "this is not Linux";
        Assert.SkipWhen(refusal is not null, $"not run: a file system cannot be mounted here (it takes root on Linux): {refusal}");
        return new Mount(path);
    }

    public void Remount(string options) => Assert.Null(Call("mount", "-o", $"remount,{options}", Path));

    public void Dispose() => Call("umount", "-l", Path);

    /// <summary>Null: it worked; else why not.</summary>
    private static string? Call(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            var error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? null : error.Trim();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return e.Message;
        }
    }
}
