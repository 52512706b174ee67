namespace MergeKit.Inference.Runtime;

/// <summary>Keeps one copy of tensors that several models have alike, byte for byte: the members of an ensemble that differ in a few layers take the others
/// from the same memory. Disposing of it disposes of all sources; the models must be gone by then.</summary>
internal sealed unsafe class SharedTensors : IDisposable
{
    private const int Piece = 1 << 30;
    private readonly Dictionary<string, List<WeightTensor>> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<nint, WeightTensor> _resolved = [];
    private readonly List<IWeightSource> _sources = [];

    /// <summary>Bytes that were not needed a second time.</summary>
    public long SharedBytes { get; private set; }

    /// <summary>The same tensors, each from the first source that has it alike.</summary>
    public IWeightSource Wrap(IWeightSource source)
    {
        _sources.Add(source);
        return new Source(this, source);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sources.ForEach(source => source.Dispose());
        _sources.Clear();
    }

    private WeightTensor Share(string name, WeightTensor tensor)
    {
        if (_resolved.TryGetValue(tensor.Data, out var resolved) && resolved.Type == tensor.Type && resolved.Shape.SequenceEqual(tensor.Shape))
            return resolved;
        return _resolved[tensor.Data] = Find(name, tensor);
    }

    private WeightTensor Find(string name, WeightTensor tensor)
    {
        if (!_tensors.TryGetValue(name, out var known))
            _tensors[name] = known = [];
        foreach (var other in known)
        {
            if (other.Data == tensor.Data || !Same(other, tensor))
                continue;
            SharedBytes += Bytes(tensor);
            return other;
        }

        known.Add(tensor);
        return tensor;
    }

    private static bool Same(WeightTensor a, WeightTensor b)
    {
        if (a.Type != b.Type || !a.Shape.SequenceEqual(b.Shape))
            return false;
        var bytes = Bytes(a);
        for (var start = 0L; start < bytes; start += Piece)
        {
            var size = (int)Math.Min(Piece, bytes - start);
            if (!new ReadOnlySpan<byte>((byte*)a.Data + start, size).SequenceEqual(new ReadOnlySpan<byte>((byte*)b.Data + start, size)))
                return false;
        }

        return true;
    }

    private static long Bytes(WeightTensor tensor) => tensor.Shape.Aggregate((long)Core.Numerics.DTypes.Size(tensor.Type), (product, extent) => product * extent);

    private sealed class Source(SharedTensors owner, IWeightSource inner) : IWeightSource
    {
        public string Name => inner.Name;

        public IEnumerable<string> Names => inner.Names;

        public bool TryGet(string name, out WeightTensor tensor)
        {
            if (!inner.TryGet(name, out tensor))
                return false;
            tensor = owner.Share(name, tensor);
            return true;
        }

        /// <summary>Others may be using the tensors: they go together with the owner.</summary>
        public void Dispose()
        {
        }
    }
}
