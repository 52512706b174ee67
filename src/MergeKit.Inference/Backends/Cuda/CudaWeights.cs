using MergeKit.Inference.Backends.Cuda.Merging;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>A matrix on the device, [rows, columns] of the backend's type, and a bias in float32.</summary>
/// <param name="Weights">Address of the matrix.</param>
/// <param name="Bias">Address of the bias; 0 for none.</param>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="IsInterleaved">Whether rows that were stored as those of gate, then those of up, alternate here.</param>
internal sealed record CudaMatrix(nint Weights, nint Bias, int Rows, int Columns, bool IsInterleaved = false) : IMatrix;

/// <summary>Weights on the device; a tensor that is used twice lies there once.</summary>
internal sealed class CudaWeights(CudaContext cuda, CudaType type, WeightLandings? landings = null) : IDisposable
{
    private readonly List<DeviceBuffer> _owned = [];
    private readonly Dictionary<(nint Data, long Rows, long Columns), nint> _tables = [];
    private readonly Dictionary<float[], nint> _vectors = new(ReferenceEqualityComparer.Instance);
    private readonly List<(float[] Values, Func<float[]> Make)> _joined = [];
    private WeightUploader? _uploader;

    private WeightUploader Uploader => _uploader ??= new WeightUploader(cuda, type);

    /// <summary>A matrix of row blocks.</summary>
    public CudaMatrix Matrix(MatrixSource source)
    {
        var (rows, columns) = Extent(source);
        var isTable = source is { Blocks.Count: 1, StoredTransposed: false };
        if (!isTable || !_tables.TryGetValue((source.Blocks[0].Data, rows, columns), out var pointer))
        {
            pointer = Take(Bytes(rows, columns), $"weights of {rows} x {columns}");
            Fill(source, pointer);
            if (isTable)
                _tables[(source.Blocks[0].Data, rows, columns)] = pointer;
        }

        return new CudaMatrix(pointer, Vector(source.Bias), checked((int)rows), checked((int)columns));
    }

    /// <summary>Matrices of one shape, one behind the other, and their biases likewise. Gate and up alternate row by row where a grouped product
    /// may use them.</summary>
    public IReadOnlyList<CudaMatrix> Stack(IReadOnlyList<MatrixSource> sources)
    {
        var (rows, columns) = Extent(sources[0]);
        var bytes = Bytes(rows, columns);
        var weights = Take(checked(bytes * sources.Count), $"{sources.Count} experts of {rows} x {columns}");
        var interleaved = type == CudaType.BFloat16 && cuda.Device.IsHopper && sources[0] is { Gate: GateKind.Halves, StoredTransposed: false };
        var bias = sources[0].Bias is null ? 0 : Joined(() => [.. sources.SelectMany(source => interleaved ? Alternate(source.Bias!) : source.Bias!)]);
        var matrices = new CudaMatrix[sources.Count];
        for (var i = 0; i < matrices.Length; i++)
        {
            var place = weights + (nint)(i * bytes);
            if (interleaved)
                FillAlternating(sources[i], place);
            else
                Fill(sources[i], place);
            matrices[i] = new CudaMatrix(place, bias == 0 ? 0 : bias + (nint)(i * rows * sizeof(float)), checked((int)rows), checked((int)columns), interleaved);
        }

        return matrices;
    }

    /// <summary>A table, shared with a matrix of the same tensor.</summary>
    public nint Table(WeightTensor tensor)
    {
        var table = Matrix(new MatrixSource([tensor], false, null)).Weights;
        Finish();
        return table;
    }

    /// <summary>Float32 values, sent once; 0 for none.</summary>
    public nint Vector(float[]? values)
    {
        if (values is not { Length: > 0 })
            return 0;
        if (_vectors.TryGetValue(values, out var pointer))
            return pointer;
        pointer = Take(values.Length * sizeof(float), "vectors");
        cuda.Stream.Upload<float>(pointer, values);
        return _vectors[values] = pointer;
    }

    /// <summary>Sends all vectors again, to where they are: the arrays have other contents.</summary>
    public void SendVectors()
    {
        foreach (var (values, make) in _joined)
            make().CopyTo(values.AsSpan());
        foreach (var (values, pointer) in _vectors)
            cuda.Stream.Upload<float>(pointer, values);
    }

    /// <summary>Lets what is computed from here on wait for the weights; gives the buffers of the way back.</summary>
    public void Finish()
    {
        _uploader?.Dispose();
        _uploader = null;
    }

    public void Dispose()
    {
        Finish();
        cuda.Synchronize();
        _owned.ForEach(buffer => buffer.Dispose());
    }

    private static (long Rows, long Columns) Extent(MatrixSource source)
    {
        var shapes = source.Blocks.Select(block => source.StoredTransposed ? (Rows: block.Shape[1], Columns: block.Shape[0]) : (Rows: block.Shape[0], Columns: block.Shape[1])).ToList();
        return (shapes.Sum(shape => shape.Rows), shapes[0].Columns);
    }

    private long Bytes(long rows, long columns) => checked(rows * columns * type.Size());

    private nint Take(long bytes, string purpose)
    {
        var buffer = cuda.Memory.Allocate(bytes, purpose);
        _owned.Add(buffer);
        return buffer.Pointer;
    }

    private void Fill(MatrixSource source, nint target)
    {
        foreach (var block in source.Blocks.Where(block => block.Data != 0))
        {
            if (landings is null)
                Uploader.Send(block, source.StoredTransposed, target);
            else
                landings.Add(block, source.StoredTransposed, target, alternating: false);
            target += (nint)Bytes(block.Shape[0], block.Shape[1]);
        }
    }

    /// <summary>Rows of gate at even places, those of up at odd ones.</summary>
    private void FillAlternating(MatrixSource source, nint target)
    {
        if (source.Blocks.Any(block => block.Data == 0))
            return;
        var half = source.Blocks[0].Shape[0] / 2;
        var halves = source.Blocks.Count == 2 ? source.Blocks : [source.Blocks[0].Rows(0, half), source.Blocks[0].Rows(half, half)];
        for (var i = 0; i < 2; i++)
        {
            var place = target + (nint)(i * Bytes(1, halves[i].Shape[1]));
            if (landings is null)
                Uploader.SendAlternating(halves[i], place);
            else
                landings.Add(halves[i], transposed: false, place, alternating: true);
        }
    }

    /// <summary>A vector that is put together of others.</summary>
    private nint Joined(Func<float[]> make)
    {
        var values = make();
        _joined.Add((values, make));
        return Vector(values);
    }

    private static float[] Alternate(float[] halves) => [.. Enumerable.Range(0, halves.Length).Select(i => halves[i / 2 + i % 2 * (halves.Length / 2)])];
}
