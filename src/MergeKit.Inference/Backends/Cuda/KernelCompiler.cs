using System.Security.Cryptography;
using System.Text;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Machine code of a kernel.</summary>
/// <param name="Image">The cubin.</param>
/// <param name="Log">What the compiler said; empty where the code came from the cache.</param>
/// <param name="FromCache">Whether it was compiled before.</param>
public sealed record CompiledKernel(byte[] Image, string Log, bool FromCache);

/// <summary>Compiles kernels with NVRTC straight to machine code, and keeps them on disk. Safe for several threads.</summary>
/// <remarks>The key of the cache covers source, headers, options, architecture and the compiler's version: whatever could change the result.</remarks>
public sealed class KernelCompiler
{
    private readonly KernelCache _cache;

    /// <summary>A compiler.</summary>
    /// <param name="cacheFolder">Where to keep machine code; null for the user's cache folder.</param>
    /// <exception cref="CudaException">NVRTC is missing.</exception>
    public KernelCompiler(string? cacheFolder = null)
    {
        CudaLibraries.Require(CudaLibraries.Nvrtc);
        CudaException.CheckNvrtc(NvrtcApi.nvrtcVersion(out var major, out var minor), "nvrtcVersion");
        Version = new Version(major, minor);
        if (Version < new Version(12, 4))
            throw new CudaException($"NVRTC {Version} is too old: 12.4 or newer is needed");
        _cache = new KernelCache(cacheFolder);
    }

    /// <summary>The compiler's version.</summary>
    public Version Version { get; }

    /// <summary>Whether NVRTC can be loaded.</summary>
    public static bool IsPresent => CudaLibraries.IsPresent(CudaLibraries.Nvrtc);

    /// <summary>Machine code of a kernel for an architecture, from the cache where it is there.</summary>
    /// <exception cref="CudaException">It does not compile; the log is saved and its path named.</exception>
    public CompiledKernel Compile(KernelSpec spec, string architecture)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var key = Key(spec, architecture);
        if (_cache.Find(key) is { } image)
            return new CompiledKernel(image, "", FromCache: true);
        var compiled = CompileAnew(spec, architecture);
        _cache.Store(key, compiled.Image);
        return compiled;
    }

    /// <summary>Compiles without looking at the cache.</summary>
    /// <exception cref="CudaException">It does not compile; the log is saved and its path named.</exception>
    public CompiledKernel CompileAnew(KernelSpec spec, string architecture)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var (source, headers) = Texts(spec);
        var names = headers.Keys.ToArray();
        CudaException.CheckNvrtc(
            NvrtcApi.nvrtcCreateProgram(out var program, source, spec.Source + ".cu", names.Length, [.. headers.Values], names), "nvrtcCreateProgram");
        try
        {
            // NVRTC 13 has a cache of its own, and says nothing in the log of a program it has seen.
            string[] options = [.. spec.Options(architecture), .. Version.Major >= 13 ? ["--no-cache"] : Array.Empty<string>()];
            var code = NvrtcApi.nvrtcCompileProgram(program, options.Length, options);
            var log = Log(program);
            if (code == 0)
                return new CompiledKernel(Image(program), log, FromCache: false);
            var path = _cache.SaveLog(Key(spec, architecture), $"{spec.Key} for {architecture}, NVRTC {Version}\n{string.Join(' ', options)}\n{log}");
            throw new CudaException($"kernel {spec.Key} does not compile for {architecture} with NVRTC {Version}; the log is in {path}: {FirstError(log)}", code);
        }
        finally
        {
            _ = NvrtcApi.nvrtcDestroyProgram(ref program);
        }
    }

    /// <summary>What names a compiled kernel: 64 hexadecimal digits.</summary>
    internal string Key(KernelSpec spec, string architecture)
    {
        var (source, headers) = Texts(spec);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, $"nvrtc {Version}", source);
        foreach (var (name, text) in headers.OrderBy(header => header.Key, StringComparer.Ordinal))
            Append(hash, name, text);
        Append(hash, [.. spec.Options(architecture)]);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static (string Source, Dictionary<string, string> Headers) Texts(KernelSpec spec)
    {
        if (!KernelSources.Sources.TryGetValue(spec.Source, out var source))
            throw new ArgumentException($"there is no device source '{spec.Source}'", nameof(spec));
        var headers = new Dictionary<string, string>(KernelSources.Headers, StringComparer.Ordinal);
        if (spec.Wgmma.Count > 0)
            headers[WgmmaHeader.Name] = WgmmaHeader.Write(spec.Wgmma);
        return (source, headers);
    }

    private static void Append(IncrementalHash hash, params ReadOnlySpan<string> texts)
    {
        foreach (var text in texts)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }
    }

    private static unsafe string Log(nint program)
    {
        CudaException.CheckNvrtc(NvrtcApi.nvrtcGetProgramLogSize(program, out var size), "nvrtcGetProgramLogSize");
        var bytes = new byte[Math.Max(1, (int)size)];
        fixed (byte* start = bytes)
            CudaException.CheckNvrtc(NvrtcApi.nvrtcGetProgramLog(program, start), "nvrtcGetProgramLog");
        return Encoding.UTF8.GetString(bytes).TrimEnd('\0', '\n');
    }

    private static unsafe byte[] Image(nint program)
    {
        CudaException.CheckNvrtc(NvrtcApi.nvrtcGetCUBINSize(program, out var size), "nvrtcGetCUBINSize");
        var bytes = new byte[(int)size];
        fixed (byte* start = bytes)
            CudaException.CheckNvrtc(NvrtcApi.nvrtcGetCUBIN(program, start), "nvrtcGetCUBIN");
        return bytes;
    }

    private static string FirstError(string log) =>
        log.Split('\n').FirstOrDefault(line => line.Contains("error", StringComparison.OrdinalIgnoreCase))?.Trim() ?? "no error line in it";
}
