using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>A whole tensor made of its <see cref="ITensorContent"/>, in native memory.</summary>
internal sealed unsafe class MadeTensor : IDisposable
{
    private const int BlockElements = 1 << 16;
    private byte* _bytes;

    public MadeTensor(Checkpoint checkpoint, TensorInfo tensor)
    {
        try
        {
            _bytes = (byte*)NativeMemory.AlignedAlloc(checked((nuint)Math.Max(1, tensor.ByteLength)), 64);
        }
        catch (OutOfMemoryException e)
        {
            throw new EnvironmentException($"{checkpoint.Path}: tensor '{tensor.Name}' takes {tensor.ByteLength:N0} bytes when it is made of its stored form; there is not so much memory", e);
        }

        var (size, bytes) = (tensor.DType.Size(), (nint)_bytes);
        try
        {
            Parallel.For(0L, (tensor.ElementCount + BlockElements - 1) / BlockElements, block =>
            {
                var start = block * BlockElements;
                var count = (int)Math.Min(BlockElements, tensor.ElementCount - start);
                checkpoint.Read(tensor, start * size, new Span<byte>((byte*)bytes + start * size, count * size));
            });
        }
        catch (AggregateException e) when (e.InnerException is MergeKitException inner)
        {
            Dispose();
            throw inner;
        }

        Bytes = new MappedBytes(bytes, tensor.ByteLength);
    }

    public MappedBytes Bytes { get; }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_bytes);
        _bytes = null;
    }
}
