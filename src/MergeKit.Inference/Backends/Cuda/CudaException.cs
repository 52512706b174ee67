using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The GPU or one of its libraries refused: names the call, the code and what to do where that is known.</summary>
/// <param name="message">What happened.</param>
/// <param name="code">The library's error code; 0 where no call was made.</param>
/// <param name="inner">The cause.</param>
public sealed class CudaException(string message, int code = 0, Exception? inner = null) : MergeKitException(message, inner)
{
    /// <summary>CUDA_ERROR_OUT_OF_MEMORY.</summary>
    internal const int OutOfMemory = 2;

    /// <summary>The library's error code; 0 where no call was made.</summary>
    public int Code { get; } = code;

    /// <summary>Fails where a driver call returned an error.</summary>
    internal static void Check(int code, string call)
    {
        if (code != 0)
            throw new CudaException($"{call}: CUDA error {code} ({Describe(code)}){Advice(code)}", code);
    }

    /// <summary>Fails where an NVRTC call returned an error.</summary>
    internal static void CheckNvrtc(int code, string call)
    {
        if (code != 0)
            throw new CudaException($"{call}: NVRTC error {code} ({Marshal.PtrToStringUTF8(NvrtcApi.nvrtcGetErrorString(code))})", code);
    }

    /// <summary>Fails where a cuBLASLt call returned an error.</summary>
    internal static void CheckCublas(int code, string call)
    {
        if (code != 0)
            throw new CudaException($"{call}: cuBLASLt status {code} ({Marshal.PtrToStringUTF8(CublasLtApi.cublasLtGetStatusString(code))})", code);
    }

    private static string Describe(int code)
    {
        var name = DriverApi.cuGetErrorName(code, out var pointer) == 0 ? Marshal.PtrToStringUTF8(pointer) : null;
        var text = DriverApi.cuGetErrorString(code, out pointer) == 0 ? Marshal.PtrToStringUTF8(pointer) : null;
        return name is null ? "unknown" : $"{name}: {text}";
    }

    private static string Advice(int code) => code switch
    {
        OutOfMemory => "; a smaller batch, a shorter context or another device may help",
        35 or 803 => "; the driver is older than the CUDA libraries: install driver 550 or newer",
        46 or 219 or 700 or 702 or 719 => "; the device was lost to this process: start it again",
        _ => "",
    };
}
