using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.PyTorch;

/// <summary>The name of a class or function in a pickle. It is never looked up: the few known ones mean something to the reader, all others are refused.</summary>
internal sealed record PickleGlobal(string Module, string Name)
{
    public string FullName => $"{Module}.{Name}";
}

/// <summary>A run of elements in the archive.</summary>
internal sealed record PickleStorage(DType? Type, string Key, long Elements);

/// <summary>A view of a storage.</summary>
internal sealed record PickleTensor(PickleStorage Storage, DType Type, long Offset, IReadOnlyList<long> Shape, IReadOnlyList<long> Strides);

/// <summary>A dictionary; keys keep their order. Repeated keys keep the last value, as in Python.</summary>
internal sealed class PickleDictionary
{
    private readonly List<object?> _keys = [];
    private readonly Dictionary<string, object?> _values = new(StringComparer.Ordinal);

    /// <summary>Entries whose key is a text.</summary>
    public IEnumerable<(string Key, object? Value)> Entries => _keys.OfType<string>().Distinct().Select(key => (key, _values[key]));

    public void Set(object? key, object? value)
    {
        _keys.Add(key);
        if (key is string text)
            _values[text] = value;
    }
}

/// <summary>What a pickle cannot be believed or used for.</summary>
internal sealed class PickleException(string message) : Exception(message);
