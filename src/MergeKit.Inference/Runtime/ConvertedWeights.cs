using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Runtime;

/// <summary>The tensors of a source in another element type, each rounded once when it is first asked for and kept in memory. Integers stay as they are.</summary>
/// <param name="inner">The source; disposed of together with this.</param>
/// <param name="type">A floating-point type.</param>
internal sealed unsafe class ConvertedWeights(IWeightSource inner, DType type) : IWeightSource
{
    private const int Piece = 1 << 14;
    private readonly Dictionary<string, WeightTensor> _made = new(StringComparer.Ordinal);
    private readonly List<nint> _memory = [];

    /// <inheritdoc/>
    public string Name => inner.Name;

    /// <inheritdoc/>
    public IEnumerable<string> Names => inner.Names;

    /// <inheritdoc/>
    public bool TryGet(string name, out WeightTensor tensor)
    {
        if (_made.TryGetValue(name, out tensor))
            return true;
        if (!inner.TryGet(name, out tensor))
            return false;
        if (tensor.Type != type && tensor.Type.IsFloat())
            tensor = _made[name] = Convert(name, tensor);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        inner.Dispose();
        _memory.ForEach(address => NativeMemory.AlignedFree((void*)address));
        _memory.Clear();
        _made.Clear();
    }

    private WeightTensor Convert(string name, WeightTensor tensor)
    {
        var elements = tensor.Shape.Aggregate(1L, (product, extent) => product * extent);
        var target = Reserve(name, elements * type.Size());
        Parallel.For(0, (elements + Piece - 1) / Piece, piece =>
        {
            Span<float> values = stackalloc float[Piece];
            var (first, count) = (piece * Piece, (int)Math.Min(Piece, elements - (piece * Piece)));
            TensorCodec.Decode(tensor.Type, new ReadOnlySpan<byte>((byte*)tensor.Data + (first * tensor.Type.Size()), count * tensor.Type.Size()), values[..count]);
            TensorCodec.Encode(type, values[..count], new Span<byte>((byte*)target + (first * type.Size()), count * type.Size()));
        });
        return new WeightTensor(target, type, tensor.Shape);
    }

    private nint Reserve(string name, long bytes)
    {
        try
        {
            _memory.Add((nint)NativeMemory.AlignedAlloc((nuint)Math.Max(64, bytes), 64));
            return _memory[^1];
        }
        catch (OutOfMemoryException)
        {
            throw new EnvironmentException($"{Name}: there is no memory for {name} in {type.SafetensorsName()} ({bytes} bytes)");
        }
    }
}
