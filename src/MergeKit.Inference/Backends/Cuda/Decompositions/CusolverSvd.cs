using System.Globalization;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>cuSOLVER's singular value decompositions in double precision.</summary>
internal sealed unsafe class CusolverSvd : IDisposable
{
    private const int Real = CusolverApi.Real64F;
    private const sbyte Thin = (sbyte)'S';
    private readonly CudaContext _cuda;
    private readonly nint _handle, _parameters;

    public CusolverSvd(CudaContext cuda)
    {
        CudaLibraries.Require(CudaLibraries.Cusolver);
        _cuda = cuda;
        Check(CusolverApi.cusolverDnCreate(out _handle), "cusolverDnCreate");
        Check(CusolverApi.cusolverDnCreateParams(out _parameters), "cusolverDnCreateParams");
        Check(CusolverApi.cusolverDnSetStream(_handle, cuda.Stream.Handle), "cusolverDnSetStream");
    }

    /// <summary>The library's version, as 12.0.</summary>
    public static string Version => CusolverApi.cusolverGetVersion(out var version) == 0
        ? string.Create(CultureInfo.InvariantCulture, $"{version / 1000}.{version % 1000 / 100}") : "of unknown version";

    /// <summary>A = U S V^T by the polar factor; what may have been added to the singular values, or null where it did not converge.</summary>
    public double? ByPolarFactor(CusolverMatrix a)
    {
        var call = $"cusolverDnXgesvdp({a.Columns} x {a.Rows})";
        Check(
            CusolverApi.cusolverDnXgesvdp_bufferSize(
                _handle, _parameters, CusolverApi.WithVectors, 1, a.Columns, a.Rows, Real, a.Matrix, a.Columns, Real, a.ValuesPointer, Real, a.Long, a.Columns,
                Real, a.Square, a.Rows, Real, out var deviceBytes, out var hostBytes),
            call + " buffer size");
        using var work = new Workspace(_cuda, deviceBytes, hostBytes);
        double perturbation;
        fixed (byte* host = work.Host)
            Check(
                CusolverApi.cusolverDnXgesvdp(
                    _handle, _parameters, CusolverApi.WithVectors, 1, a.Columns, a.Rows, Real, a.Matrix, a.Columns, Real, a.ValuesPointer, Real, a.Long, a.Columns,
                    Real, a.Square, a.Rows, Real, work.Device, deviceBytes, host, hostBytes, work.Info, out perturbation),
                call);
        return work.Result() == 0 && double.IsFinite(perturbation) ? perturbation : null;
    }

    /// <summary>A = U S V^T by bidiagonalisation; false where it did not converge.</summary>
    public bool ByBidiagonal(CusolverMatrix a)
    {
        var call = $"cusolverDnXgesvd({a.Columns} x {a.Rows})";
        Check(
            CusolverApi.cusolverDnXgesvd_bufferSize(
                _handle, _parameters, Thin, Thin, a.Columns, a.Rows, Real, a.Matrix, a.Columns, Real, a.ValuesPointer, Real, a.Long, a.Columns,
                Real, a.Square, a.Rows, Real, out var deviceBytes, out var hostBytes),
            call + " buffer size");
        using var work = new Workspace(_cuda, deviceBytes, hostBytes);
        fixed (byte* host = work.Host)
            Check(
                CusolverApi.cusolverDnXgesvd(
                    _handle, _parameters, Thin, Thin, a.Columns, a.Rows, Real, a.Matrix, a.Columns, Real, a.ValuesPointer, Real, a.Long, a.Columns,
                    Real, a.Square, a.Rows, Real, work.Device, deviceBytes, host, hostBytes, work.Info),
                call);
        return work.Result() == 0;
    }

    public void Dispose()
    {
        _ = CusolverApi.cusolverDnDestroyParams(_parameters);
        _ = CusolverApi.cusolverDnDestroy(_handle);
    }

    private static void Check(int status, string call)
    {
        const int allocationFailed = 2;
        if (status != 0)
            throw new CudaException($"{call}: cuSOLVER status {status}", status == allocationFailed ? CudaException.OutOfMemory : status);
    }

    /// <summary>Scratch memory of one call, and the word where it says how it went.</summary>
    private sealed class Workspace : IDisposable
    {
        private const int InfoBytes = 256;
        private readonly CudaContext _cuda;
        private readonly DeviceBuffer _buffer;

        public Workspace(CudaContext cuda, nuint deviceBytes, nuint hostBytes)
        {
            _cuda = cuda;
            Host = GC.AllocateUninitializedArray<byte>(checked((int)Math.Max(1, hostBytes)), pinned: true);
            _buffer = cuda.Memory.Allocate(checked((long)deviceBytes + InfoBytes), "workspace of a decomposition");
            cuda.Stream.Fill(Info, 0, sizeof(int));
        }

        public byte[] Host { get; }

        public nint Info => _buffer.Pointer;

        public nint Device => _buffer.Pointer + InfoBytes;

        public int Result()
        {
            var result = new int[1];
            _cuda.Stream.Download<int>(Info, result);
            return result[0];
        }

        public void Dispose() => _buffer.Dispose();
    }
}
