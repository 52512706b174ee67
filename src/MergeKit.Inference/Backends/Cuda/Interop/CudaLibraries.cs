using System.Reflection;
using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cuda.Interop;

/// <summary>One of the libraries the GPU engine loads at run time.</summary>
/// <param name="Key">The name that the bindings use.</param>
/// <param name="Files">File names to try, newest first.</param>
/// <param name="Companion">Start of the name of a file beside it that has to be loaded first; empty for none.</param>
/// <param name="Package">What to install where it is missing.</param>
internal sealed record CudaLibrary(string Key, IReadOnlyList<string> Files, string Companion, string Package);

/// <summary>Finds the CUDA driver, NVRTC, cuBLASLt and cuSOLVER.</summary>
/// <remarks>Searched are the folders of <c>MERGEKIT_CUDA_LIBRARIES</c>, then the system's own search path, then <c>CUDA_PATH</c> and the usual folder of a toolkit.</remarks>
internal static class CudaLibraries
{
    /// <summary>Names folders to search first, separated like those of PATH.</summary>
    public const string FoldersVariable = "MERGEKIT_CUDA_LIBRARIES";

    internal const string DriverKey = "mergekit-cuda", NvrtcKey = "mergekit-nvrtc", CublasLtKey = "mergekit-cublaslt", CusolverKey = "mergekit-cusolver";

    /// <summary>The driver.</summary>
    public static CudaLibrary Driver { get; } = new(DriverKey, ["libcuda.so.1"], "",
        "the NVIDIA driver, 550 or newer (Debian: libcuda1 in non-free)");

    /// <summary>The run-time compiler.</summary>
    public static CudaLibrary Nvrtc { get; } = new(NvrtcKey, ["libnvrtc.so.13", "libnvrtc.so.12"], "libnvrtc-builtins.so",
        "NVRTC 12.4 or newer (Debian: libnvrtc12 in non-free; NVIDIA: cuda-nvrtc-13-0; Python: nvidia-cuda-nvrtc)");

    /// <summary>Dense matrix products.</summary>
    public static CudaLibrary CublasLt { get; } = new(CublasLtKey, ["libcublasLt.so.13", "libcublasLt.so.12"], "",
        "cuBLASLt 12.4 or newer (Debian: libcublaslt12 in non-free; NVIDIA: libcublas-13-0; Python: nvidia-cublas)");

    /// <summary>Matrix decompositions; nothing else needs it.</summary>
    public static CudaLibrary Cusolver { get; } = new(CusolverKey, ["libcusolver.so.12", "libcusolver.so.11"], "",
        "cuSOLVER 11.6 or newer (Debian: libcusolver11 in non-free; NVIDIA: libcusolver-13-0; Python: nvidia-cusolver)");

    private static readonly Lazy<nint> DriverHandle = new(() => Load(Driver)), NvrtcHandle = new(() => Load(Nvrtc)), CublasLtHandle = new(() => Load(CublasLt)),
        CusolverHandle = new(() => Load(Cusolver));

    static CudaLibraries() => NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, Resolve);

    /// <summary>Whether a library can be loaded.</summary>
    public static bool IsPresent(CudaLibrary library) => Handle(library.Key) != 0;

    /// <summary>Fails where a library cannot be loaded. Every class of bindings calls this before its first call.</summary>
    /// <exception cref="CudaException">It is missing; the message names it and the package that has it.</exception>
    public static void Require(CudaLibrary library)
    {
        if (!IsPresent(library))
            throw new CudaException($"{string.Join(" or ", library.Files)} cannot be loaded; it comes with {library.Package}; "
                + $"folders to search can be named in {FoldersVariable}");
    }

    private static nint Handle(string key) => key switch
    {
        DriverKey => DriverHandle.Value,
        NvrtcKey => NvrtcHandle.Value,
        CublasLtKey => CublasLtHandle.Value,
        CusolverKey => CusolverHandle.Value,
        _ => 0,
    };

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => Handle(name);

    private static nint Load(CudaLibrary library)
    {
        var named = Environment.GetEnvironmentVariable(FoldersVariable) ?? "";
        foreach (var folder in named.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
            if (LoadFrom(folder, library) is var handle and not 0)
                return handle;
        foreach (var file in library.Files)
            if (NativeLibrary.TryLoad(file, out var handle))
                return handle;
        string[] toolkits = [Path.Combine(Environment.GetEnvironmentVariable("CUDA_PATH") ?? "", "lib64"), "/usr/local/cuda/lib64"];
        return toolkits.Select(folder => LoadFrom(folder, library)).FirstOrDefault(handle => handle != 0);
    }

    private static nint LoadFrom(string folder, CudaLibrary library)
    {
        foreach (var file in library.Files.Select(file => Path.Combine(folder, file)).Where(File.Exists))
        {
            // NVRTC asks for its companion by bare name, which the loader answers from what is loaded already.
            if (library.Companion.Length > 0)
                foreach (var companion in Directory.EnumerateFiles(folder, library.Companion + ".*"))
                    NativeLibrary.TryLoad(companion, out _);
            if (NativeLibrary.TryLoad(file, out var handle))
                return handle;
        }

        return 0;
    }
}
