using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Attention of decode steps: how the keys of each form of attention are cut, and the room for partial results. Buffers have the same
/// places for all steps of one form, so that a recorded step finds the plan of a later one.</summary>
internal sealed class CudaDecode(CudaContext cuda, NetworkSpec network, CudaType type, KvPool pool) : IDisposable
{
    private readonly Dictionary<AttentionForm, Plan> _plans = network.Layers.Select(layer => AttentionForm.Of(layer.Attention, network.Causal, type))
        .Distinct().Where(form => AttentionDecode.Supports(form)).ToDictionary(form => form, _ => new Plan(cuda));
    private bool _isStep;

    /// <summary>Whether the batch is one token for each of some sequences that have a past.</summary>
    public static bool IsStep(ForwardBatch batch) => batch.Sequences.All(span => span is { Count: 1, Past: > 0 });

    /// <summary>What decides the launches of this step beside the number of sequences and pages.</summary>
    public int Key { get; private set; }

    /// <summary>Plans a batch, where it is a step.</summary>
    public void Set(CudaBatch batch)
    {
        (_isStep, Key) = (IsStep(batch.Current!), 0);
        if (!_isStep)
            return;
        var keys = batch.Spans.Select(span => span.Keys).ToArray();
        var most = batch.TableStride * KvPool.PageSize;
        foreach (var (form, plan) in _plans)
        {
            plan.Set(form, keys, most);
            Key = Key * 64 + plan.Shape.Warps;
        }
    }

    /// <summary>Attention of a layer, where this step and form are done here.</summary>
    public bool TryAttend(in AttentionForm form, int layer, CudaBatch batch, nint queries, nint output, nint slopes, nint sinks)
    {
        if (!_isStep || !_plans.TryGetValue(form, out var plan))
            return false;
        AttentionDecode.Launch(cuda, form, plan.Shape, plan.Pieces, new DecodeOperands(
            queries, pool.Keys(layer), pool.Values(layer), output, 0, batch.Table, batch.TableStride, 64L * form.KvHeads * form.HeadDim,
            plan.PiecesAt, plan.PlacesAt, plan.Counters, plan.Partials, slopes, sinks));
        return true;
    }

    public void Dispose()
    {
        foreach (var plan in _plans.Values)
            plan.Dispose();
    }

    /// <summary>The plan of one form.</summary>
    private sealed class Plan(CudaContext cuda) : IDisposable
    {
        private readonly CudaBuffer _lists = new(cuda), _counters = new(cuda), _partials = new(cuda);

        public DecodeShape Shape { get; private set; }

        /// <summary>Entries of the list of pieces.</summary>
        public int Pieces { get; private set; }

        public nint PiecesAt => _lists.Pointer;

        public nint PlacesAt => _lists.Pointer + Pieces * Marshal.SizeOf<DecodePiece>();

        public nint Counters => _counters.Pointer;

        public nint Partials => _partials.Pointer;

        public void Set(in AttentionForm form, int[] keys, int most)
        {
            Shape = AttentionDecode.Choose(form, keys.Sum(length => (long)length), cuda.Device.Multiprocessors);
            var plan = AttentionDecode.Plan(form, Shape, keys, cuda.Device.Multiprocessors);
            Pieces = DecodePlan.Capacity(keys.Length, most, AttentionDecode.BlocksPerPiece(form), Shape.Blocks * cuda.Device.Multiprocessors);
            if (plan.Pieces.Length > Pieces)
                throw new CudaException($"a plan of {plan.Pieces.Length} pieces has room for {Pieces}");
            var lists = new DecodePiece[Pieces + (keys.Length + 3) / 4];
            plan.Pieces.CopyTo(lists, 0);
            plan.Places.CopyTo(MemoryMarshal.Cast<DecodePiece, int>(lists.AsSpan(Pieces)));
            _lists.Fill<DecodePiece>(lists);
            var old = _counters.Pointer;
            var bytes = AttentionDecode.CounterBytes(form, keys.Length);
            if (_counters.Resize(1, bytes / sizeof(int), CudaType.Float32) != old)
                cuda.Stream.Fill(_counters.Pointer, 0, bytes);
            _partials.Resize(1, AttentionDecode.PartialBytes(form, Pieces) / sizeof(float), CudaType.Float32);
        }

        public void Dispose()
        {
            foreach (var buffer in new[] { _lists, _counters, _partials })
                buffer.Dispose();
        }
    }
}
