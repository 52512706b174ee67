using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>Singular value decompositions on a GPU in double precision, by cuSOLVER. Tried first is the decomposition by a polar factor (gesvdp:
/// Higham and Papadimitriou 1994, "A parallel algorithm for computing the polar decomposition"; Nakatsukasa and Higham 2013, "Stable and efficient
/// spectral divide and conquer"), which moves singular values near zero; where there may be some, the one by bidiagonalisation and QR steps (gesvd)
/// is made. Small matrices, and those that the device cannot hold or decompose, are done on the CPU.</summary>
public sealed class CudaDecomposer : IDecomposer, IDisposable
{
    private const double Trusted = 1e-9;
    private const double OperationsPerSecond = 3e12;
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
                if (OnDevice(rows, columns) is { } done)
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

    private ThinSvd? OnDevice(double[][] rows, int columns)
    {
        _cuda.MakeCurrent();
        using var memory = new CusolverMatrix(_cuda, rows.Length, columns);
        memory.Send(rows);
        if (_solver.ByPolarFactor(memory) is { } perturbation && memory.Values() is var values
            && values.Min() > Trusted * values.Max() && perturbation <= Trusted * values.Min())
        {
            Done = (Done.Polar + 1, Done.Bidiagonal);
            return memory.Take(values, vectorsByRows: false);
        }

        memory.Send(rows);
        if (!_solver.ByBidiagonal(memory))
            return null;
        Done = (Done.Polar, Done.Bidiagonal + 1);
        return memory.Take(memory.Values(), vectorsByRows: true);
    }
}
