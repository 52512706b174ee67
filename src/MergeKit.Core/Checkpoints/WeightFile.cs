using MergeKit.Core.Checkpoints.PyTorch;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints;

/// <summary>One weight file, opened and validated.</summary>
/// <param name="File">The file.</param>
/// <param name="Tensors">Its tensors, in the order of their bytes.</param>
/// <param name="Warnings">What was odd but usable.</param>
internal sealed record WeightFile(CheckpointFile File, IReadOnlyList<TensorInfo> Tensors, IReadOnlyList<Problem> Warnings)
{
    /// <summary>Endings of PyTorch's files.</summary>
    public static bool IsPyTorch(string path) => Path.GetExtension(path) is ".bin" or ".pt" or ".pth";

    /// <summary>Reads a safetensors or PyTorch file, by its ending.</summary>
    public static WeightFile Read(string path)
    {
        if (IsPyTorch(path))
            return PyTorchFile.Read(path);
        var header = SafetensorsHeader.Read(path);
        return new WeightFile(header.AsFile, header.Tensors, []);
    }
}
