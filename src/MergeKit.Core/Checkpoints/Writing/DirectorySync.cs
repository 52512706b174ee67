using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>What the system does with a folder as a whole, beyond the runtime's own library: make a rename durable (on Unix a folder's
/// entries are flushed by fsync of the folder itself), and lock it for one process (flock of the folder follows it through a rename).</summary>
internal static partial class DirectorySync
{
    private const int ReadOnly = 0, Exclusive = 2, DoNotWait = 4;

    private static int CloseOnExec => OperatingSystem.IsMacOS() ? 0x1000000 : 0x80000;

    private static int WouldBlock => OperatingSystem.IsMacOS() ? 35 : 11;

    public static void Flush(string folder)
    {
        using var handle = Open(folder);
        if (handle is not null)
            _ = Sync(handle);
    }

    /// <summary>Takes the folder for this process until the handle is closed; null where the system has no such lock.</summary>
    /// <exception cref="EnvironmentException">Another process has it.</exception>
    public static SafeFileHandle? Lock(string folder)
    {
        var handle = Open(folder);
        if (handle is null || Lock(handle, Exclusive | DoNotWait) == 0 || Marshal.GetLastPInvokeError() != WouldBlock)
            return handle;
        handle.Dispose();
        throw new EnvironmentException($"{folder}: another process is writing this output");
    }

    private static SafeFileHandle? Open(string folder)
    {
        if (OperatingSystem.IsWindows())
            return null;
        var handle = Open(folder, ReadOnly | CloseOnExec);
        return handle < 0 ? null : new SafeFileHandle(handle, ownsHandle: true); // a file system that does not open folders does not need it
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Sync(SafeFileHandle handle);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Lock(SafeFileHandle handle, int operation);
}
