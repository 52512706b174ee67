using System.Text;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>An NVIDIA GPU.</summary>
/// <param name="Index">Its index, as in <c>cuda:0</c>.</param>
/// <param name="Name">What the driver calls it.</param>
/// <param name="Major">Compute capability, whole part.</param>
/// <param name="Minor">Compute capability, fraction.</param>
/// <param name="Multiprocessors">Streaming multiprocessors.</param>
/// <param name="L2Bytes">Size of the second-level cache.</param>
/// <param name="SharedBytesPerBlock">The most shared memory that a block can ask for.</param>
/// <param name="TotalBytes">Device memory.</param>
/// <param name="DriverVersion">CUDA version of the driver: 1000 x major + 10 x minor.</param>
public sealed record CudaDevice(
    int Index, string Name, int Major, int Minor, int Multiprocessors, long L2Bytes, int SharedBytesPerBlock, long TotalBytes, int DriverVersion)
{
    /// <summary>The oldest compute capability that kernels are written for.</summary>
    public const int LeastMajor = 8;

    /// <summary>The oldest CUDA version of a driver: 12.4.</summary>
    public const int LeastDriver = 12040;

    /// <summary>What kernels are compiled for: <c>sm_90a</c> on Hopper, the plain name elsewhere.</summary>
    public string Architecture => Major == 9 && Minor == 0 ? "sm_90a" : $"sm_{Major}{Minor}";

    /// <summary>Whether wgmma and the tensor memory accelerator of Hopper are there.</summary>
    public bool IsHopper => Architecture == "sm_90a";

    /// <summary>Why the device cannot be used; null where it can.</summary>
    public string? Refusal =>
        DriverVersion < LeastDriver
            ? $"cuda:{Index} ({Name}): the driver supports CUDA {DriverVersion / 1000}.{DriverVersion % 1000 / 10}; 12.4 or newer (driver 550) is needed"
        : Major < LeastMajor
            ? $"cuda:{Index} ({Name}): compute capability {Major}.{Minor}; 8.0 or newer is needed"
        : null;

    /// <summary>Whether the machine has an NVIDIA driver, so that somebody may expect its GPU to be used.</summary>
    public static bool HasDriver => CudaLibraries.IsPresent(CudaLibraries.Driver);

    /// <summary>All devices that the driver shows.</summary>
    /// <exception cref="CudaException">The driver is missing or refuses.</exception>
    public static IReadOnlyList<CudaDevice> All()
    {
        CudaLibraries.Require(CudaLibraries.Driver);
        CudaException.Check(DriverApi.cuInit(0), "cuInit");
        CudaException.Check(DriverApi.cuDriverGetVersion(out var version), "cuDriverGetVersion");
        CudaException.Check(DriverApi.cuDeviceGetCount(out var count), "cuDeviceGetCount");
        return [.. Enumerable.Range(0, count).Select(index => Read(index, version))];
    }

    /// <summary>Devices that can be used, and why others cannot; never fails.</summary>
    /// <returns>The devices, and one sentence for each thing in the way.</returns>
    public static (IReadOnlyList<CudaDevice> Usable, IReadOnlyList<string> Reasons) Discover()
    {
        try
        {
            foreach (var library in new[] { CudaLibraries.Driver, CudaLibraries.Nvrtc, CudaLibraries.CublasLt })
                CudaLibraries.Require(library);
            var all = All();
            var reasons = all.Where(device => device.Refusal is not null).Select(device => device.Refusal!).ToList();
            if (all.Count == 0)
                reasons.Add("the CUDA driver shows no device");
            return ([.. all.Where(device => device.Refusal is null)], reasons);
        }
        catch (CudaException exception)
        {
            return ([], [exception.Message]);
        }
    }

    private static unsafe CudaDevice Read(int index, int driver)
    {
        CudaException.Check(DriverApi.cuDeviceGet(out var device, index), "cuDeviceGet");
        Span<byte> name = stackalloc byte[256];
        fixed (byte* start = name)
            CudaException.Check(DriverApi.cuDeviceGetName(start, name.Length, device), "cuDeviceGetName");
        CudaException.Check(DriverApi.cuDeviceTotalMem(out var bytes, device), "cuDeviceTotalMem");
        var length = name.IndexOf((byte)0);
        return new CudaDevice(
            index, Encoding.UTF8.GetString(name[..(length < 0 ? name.Length : length)]), Attribute(device, DeviceAttribute.CapabilityMajor),
            Attribute(device, DeviceAttribute.CapabilityMinor), Attribute(device, DeviceAttribute.MultiprocessorCount),
            Attribute(device, DeviceAttribute.L2CacheBytes), Attribute(device, DeviceAttribute.SharedBytesPerBlockOptIn), (long)bytes, driver);
    }

    private static int Attribute(int device, DeviceAttribute attribute)
    {
        CudaException.Check(DriverApi.cuDeviceGetAttribute(out var value, attribute, device), $"cuDeviceGetAttribute({attribute})");
        return value;
    }
}
