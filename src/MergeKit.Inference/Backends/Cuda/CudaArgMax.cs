using System.Runtime.InteropServices;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The most probable next tokens: found on the device, where the next pass can read them before the host has.</summary>
internal sealed class CudaArgMax(CudaContext cuda, CudaLinear linear) : IDisposable
{
    /// <summary>The most rows at once.</summary>
    public const int MostRows = 64;

    private const int Slots = 4;
    private readonly CudaBuffer _logits = new(cuda), _best = new(cuda), _ids = new(cuda);
    private readonly (PinnedBuffer Host, CudaEvent Done, Pending? Last)[] _slots = new (PinnedBuffer, CudaEvent, Pending?)[Slots];
    private int _next;

    /// <summary>Queues the search over some rows, as matrices read them.</summary>
    public IPendingIds Queue(HeadWeights weights, nint rows, int count)
    {
        var matrix = (CudaMatrix)weights.Output;
        ref var slot = ref _slots[_next];
        slot.Last?.Wait();
        slot = slot.Host is null ? (new PinnedBuffer(MostRows * sizeof(int)), new CudaEvent(), null) : slot;
        var ids = _ids.Resize(Slots, MostRows, CudaType.Float32) + _next * MostRows * sizeof(int);
        _next = (_next + 1) % Slots;
        var logits = _logits.Resize(count, matrix.Rows, CudaType.Float32);
        linear.Multiply(matrix.Weights, rows, logits, count, matrix.Rows, matrix.Columns, CudaType.Float32, accumulate: false);
        ScoreHead.ArgMax(cuda, logits, matrix.Bias, _best.Resize(count, 2 * ScoreHead.ArgMaxBlocks, CudaType.Float32), ids, count, matrix.Rows);
        cuda.Stream.DownloadLater(ids, slot.Host.Pointer, count * sizeof(int));
        slot.Done.Record(cuda.Stream);
        return slot.Last = new Pending(ids, count, slot.Host, slot.Done);
    }

    public void Dispose()
    {
        foreach (var (host, done, _) in _slots.Where(slot => slot.Host is not null))
        {
            host.Dispose();
            done.Dispose();
        }

        foreach (var buffer in new[] { _logits, _best, _ids })
            buffer.Dispose();
    }

    /// <summary>Ids on the device, and on their way to the host.</summary>
    internal sealed class Pending(nint ids, int count, PinnedBuffer host, CudaEvent done) : IPendingIds
    {
        private int[]? _ids;

        /// <summary>int32 on the device.</summary>
        public nint Ids => ids;

        /// <summary>Whether the host has them; the device's may be gone then.</summary>
        public bool IsKnown => _ids is not null;

        public ReadOnlyMemory<int> Wait()
        {
            if (_ids is not null)
                return _ids;
            done.Synchronize();
            _ids = new int[count];
            Marshal.Copy(host.Pointer, _ids, 0, count);
            return _ids;
        }
    }
}
