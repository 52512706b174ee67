using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Backends.Cuda;

namespace MergeKit.Inference.Runtime;

/// <summary>Makes the backend for a model on a device.</summary>
/// <param name="device">The device asked for.</param>
/// <param name="threads">Workers on the CPU; null for one per processor.</param>
/// <param name="candidate">Weights that are merged on the device, of parents that stay there; null for weights that are sent.</param>
internal sealed class BackendFactory(DeviceChoice device, int? threads, CandidateWeights? candidate = null)
{
    private readonly List<Problem> _notes = [];

    /// <summary>What should be known about the choice.</summary>
    public IReadOnlyList<Problem> Notes => _notes;

    /// <summary>The backend.</summary>
    /// <exception cref="EnvironmentException">A GPU was asked for by name and cannot be used, or has too little memory.</exception>
    public IBackend Create(Architecture architecture, ModelConfig config, NetworkSpec network, IWeightSource source)
    {
        if (device is { IsAuto: false, Cuda: null })
            return new CpuBackend(network, threads);
        var (usable, reasons) = CudaDevice.Discover();
        var candidates = usable.Where(gpu => device.IsAuto || gpu.Index == device.Cuda).ToList();
        if (candidates.Count == 0 && !device.IsAuto)
            throw Refuse(usable, reasons);
        if (usable.Count == 0 && CudaDevice.HasDriver)
            _notes.AddRange(reasons.Select(reason => Problem.Warning($"{source.Name}: the CPU is used: {reason}")));
        var plan = DevicePlan.For(architecture, config, network, source) with { Parents = candidate?.DeviceBytes ?? 0 };
        foreach (var gpu in candidates)
        {
            string obstacle;
            try
            {
                var cuda = new CudaContext(gpu.Index);
                var (free, total) = cuda.Memory.Available();
                if (plan.Shortage(free, total) is not { } shortage)
                    return Make(cuda, network, plan.Type);
                cuda.Dispose();
                obstacle = shortage;
            }
            catch (CudaException exception)
            {
                obstacle = exception.Message;
            }

            if (!device.IsAuto)
                throw new EnvironmentException($"{source.Name}: cuda:{gpu.Index} ({gpu.Name}): {obstacle}; --device cpu runs it on the CPU");
            _notes.Add(Problem.Warning($"{source.Name}: cuda:{gpu.Index} ({gpu.Name}) is not used: {obstacle}"));
        }

        return new CpuBackend(network, threads);
    }

    private CudaBackend Make(CudaContext cuda, NetworkSpec network, CudaType type)
    {
        try
        {
            return new CudaBackend(cuda, network, type, ownsContext: true, candidate?.Attach(cuda, type));
        }
        catch
        {
            candidate?.Detach();
            cuda.Dispose();
            throw;
        }
    }

    private EnvironmentException Refuse(IReadOnlyList<CudaDevice> usable, IReadOnlyList<string> reasons)
    {
        var own = reasons.Where(reason => !reason.StartsWith("cuda:", StringComparison.Ordinal) || reason.StartsWith($"{device} ", StringComparison.Ordinal)).ToList();
        var others = usable.Count == 0 ? "" : $"; there {(usable.Count == 1 ? "is" : "are")} {string.Join(", ", usable.Select(gpu => $"cuda:{gpu.Index} ({gpu.Name})"))}";
        return new EnvironmentException(own.Count > 0
            ? $"{device} cannot be used: {string.Join("; ", own)}. --device cpu runs on the CPU"
            : $"{device}: there is no such device{others}. --device cpu runs on the CPU");
    }
}
