namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Activations on a device, of either type; grows and is reused.</summary>
internal sealed class CudaBuffer(CudaContext cuda) : IBuffer
{
    private DeviceBuffer? _data;

    public int Rows { get; private set; }

    public int Columns { get; private set; }

    public CudaType Type { get; private set; }

    public nint Pointer => _data?.Pointer ?? 0;

    /// <summary>Gives the buffer a shape and type; its contents are undefined where it grows.</summary>
    public nint Resize(long rows, long columns, CudaType type)
    {
        var bytes = checked(rows * columns * type.Size());
        if (_data is null || bytes > _data.Bytes)
        {
            if (_data is not null)
                cuda.Memory.CountMove();
            _data?.Dispose();
            _data = null;
            _data = cuda.Memory.Allocate(bytes, $"activations of {rows} x {columns}");
        }

        (Rows, Columns, Type) = (checked((int)rows), checked((int)columns), type);
        cuda.Touched?.Add(this);
        return _data.Pointer;
    }

    /// <summary>Sends integers or floats here.</summary>
    public nint Fill<T>(ReadOnlySpan<T> values) where T : unmanaged
    {
        var pointer = Resize(values.Length, System.Runtime.CompilerServices.Unsafe.SizeOf<T>() / sizeof(float), CudaType.Float32);
        cuda.Stream.Upload(pointer, values);
        return pointer;
    }

    public void Dispose()
    {
        _data?.Dispose();
        (_data, Rows, Columns) = (null, 0, 0);
    }
}
