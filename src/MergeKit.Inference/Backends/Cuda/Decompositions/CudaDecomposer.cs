using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>Singular value decompositions on a GPU in double precision, by cuSOLVER. Tried first is the decomposition by a polar factor (gesvdp:
/// Higham and Papadimitriou 1994, "A parallel algorithm for computing the polar decomposition"; Nakatsukasa and Higham 2013, "Stable and efficient
/// spectral divide and conquer"), which moves singular values near zero. Its result is taken
/// where every value is far from zero, or some are as good as zero and probes find the matrix again in it; else the one by bidiagonalisation and QR steps
/// (gesvd) is made. Small matrices, and those that the device cannot hold or decompose, are done on the CPU.</summary>
public sealed class CudaDecomposer : IDecomposer, IDisposable
{
    private const double FarFromZero = 1e-9, AsGoodAsZero = 1e-13;
    private const double OperationsPerSecond = 4e12;
    private readonly CudaContext _cuda;
    private readonly CusolverSvd _solver;
    private readonly CpuDecomposer _cpu = new();
    private readonly Lock _gate = new();
    private readonly HashSet<string> _refusals = new(StringComparer.Ordinal);

    /// <summary>Opens a device.</summary>
    /// <exception cref="CudaException">The device or cuSOLVER cannot be used.</exception>
    public CudaDecomposer(int index)
    {
        _cuda = new CudaContext(index);
        try
        {
            _solver = new CusolverSvd(_cuda);
        }
        catch
        {
            _cuda.Dispose();
            throw;
        }
    }

    /// <summary>Matrices with fewer rows are decomposed on the CPU.</summary>
    public int LeastRows { get; init; } = 96;

    /// <summary>How many matrices the device has decomposed by each way.</summary>
    public (int Polar, int Bidiagonal) Done { get; private set; }

    /// <summary>Why some matrices were decomposed on the CPU.</summary>
    public IReadOnlyCollection<string> Refusals => _refusals;

    /// <inheritdoc/>
    public string Name => $"cuda:{_cuda.Device.Index} ({_cuda.Device.Name}; cuSOLVER {CusolverSvd.Version}, double precision)";

    /// <inheritdoc/>
    public bool PrefersWhole => true;

    /// <inheritdoc/>
    public DecompositionCost Cost(long rows, long columns, int threads)
    {
        var operations = 25.0 * columns * rows * rows + 10.0 * rows * rows * rows;
        return rows < LeastRows ? _cpu.Cost(rows, columns, threads) : new DecompositionCost(operations, operations / OperationsPerSecond);
    }

    /// <inheritdoc/>
    public ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null)
    {
        var columns = ThinSvd.CheckSides(rows);
        if (rows.Length < LeastRows)
            return _cpu.Decompose(rows, loop, step);
        lock (_gate)
        {
            step?.Invoke($"on cuda:{_cuda.Device.Index}");
            try
            {
                if (OnDevice(rows, columns, loop) is { } done)
                    return done;
                _refusals.Add($"cuSOLVER did not converge on a matrix of {rows.Length} x {columns}");
            }
            catch (CudaException e) when (e.Code == CudaException.OutOfMemory)
            {
                _refusals.Add(e.Message);
            }
        }

        return _cpu.Decompose(rows, loop, step);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cuda.MakeCurrent();
        _solver.Dispose();
        _cuda.Dispose();
    }

    /// <summary>The values with those that are as good as zero set to zero; null where some are neither that nor far from it.</summary>
    private static double[]? Cut(double[] values, double perturbation)
    {
        var largest = values.Max();
        var (far, zero) = (FarFromZero * largest, Math.Max(AsGoodAsZero * largest, 10 * perturbation));
        if (largest == 0 || !(zero < far) || values.Any(value => value > zero && value < far))
            return null;
        return Array.ConvertAll(values, value => value <= zero ? 0 : value);
    }

    private ThinSvd? OnDevice(double[][] rows, int columns, ParallelLoop loop)
    {
        _cuda.MakeCurrent();
        using var memory = new CusolverMatrix(_cuda, rows.Length, columns);
        memory.Send(rows);
        if (_solver.ByPolarFactor(memory) is { } perturbation && Cut(memory.Values(), perturbation) is { } values
            && memory.Take(values, vectorsByRows: false) is var found && (found.Values.Length == rows.Length || DecompositionProbe.Confirms(rows, found, loop)))
        {
            Done = (Done.Polar + 1, Done.Bidiagonal);
            return found;
        }

        memory.Send(rows);
        if (!_solver.ByBidiagonal(memory))
            return null;
        Done = (Done.Polar, Done.Bidiagonal + 1);
        return memory.Take(memory.Values(), vectorsByRows: true);
    }
}
