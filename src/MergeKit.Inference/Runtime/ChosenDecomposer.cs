using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Decompositions;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Runtime;

/// <summary>Decomposes matrices on the device asked for; which one that is is found out when it is first needed.</summary>
/// <param name="device">A GPU, the CPU, or the first GPU that can be used and else the CPU.</param>
public sealed class ChosenDecomposer(DeviceChoice device) : IDecomposer, IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<string> _reasons = [];
    private IDecomposer? _chosen;

    /// <summary>What should be known about the choice, and matrices that a GPU left to the CPU.</summary>
    public IReadOnlyList<Problem> Notes =>
        [.. _reasons.Concat((_chosen as CudaDecomposer)?.Refusals ?? []).Select(reason => Problem.Warning($"matrices are decomposed on the CPU: {reason}"))];

    /// <inheritdoc/>
    public string Name => Chosen.Name;

    /// <inheritdoc/>
    public bool PrefersWhole => Chosen.PrefersWhole;

    private IDecomposer Chosen
    {
        get
        {
            lock (_gate)
                return _chosen ??= Choose();
        }
    }

    /// <inheritdoc/>
    public DecompositionCost Cost(long rows, long columns, int threads) => Chosen.Cost(rows, columns, threads);

    /// <inheritdoc/>
    public ThinSvd Decompose(double[][] rows, ParallelLoop loop, Action<string>? step = null) => Chosen.Decompose(rows, loop, step);

    /// <inheritdoc/>
    public void Dispose() => (_chosen as CudaDecomposer)?.Dispose();

    private IDecomposer Choose()
    {
        if (device is { IsAuto: false, Cuda: null })
            return new CpuDecomposer();
        try
        {
            var (usable, reasons) = CudaDevice.Discover();
            var gpu = usable.FirstOrDefault(one => device.IsAuto || one.Index == device.Cuda)
                ?? throw new CudaException(reasons.Count > 0 ? string.Join("; ", reasons) : $"{device}: there is no such device");
            CudaLibraries.Require(CudaLibraries.Cusolver);
            return new CudaDecomposer(gpu.Index);
        }
        catch (CudaException e)
        {
            if (!device.IsAuto)
                throw new EnvironmentException($"{device} cannot decompose matrices: {e.Message}; --device cpu does it on the CPU", e);
            if (CudaDevice.HasDriver)
                _reasons.Add(e.Message);
            return new CpuDecomposer();
        }
    }
}
