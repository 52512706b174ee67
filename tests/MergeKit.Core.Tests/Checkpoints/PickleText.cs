using System.Text;

namespace MergeKit.Core.Tests.Checkpoints;

/// <summary>Writes pickles opcode by opcode, as PyTorch does (protocol 2), and hostile ones.</summary>
internal sealed class PickleText
{
    private readonly List<byte> _bytes = [];

    public byte[] Bytes => [.. _bytes];

    public PickleText Protocol() => Raw("\u0080\u0002");

    public PickleText Raw(string code)
    {
        _bytes.AddRange(Encoding.Latin1.GetBytes(code));
        return this;
    }

    public PickleText Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Raw("X");
        _bytes.AddRange(BitConverter.GetBytes(bytes.Length));
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleText Number(long value)
    {
        if (value is >= int.MinValue and <= int.MaxValue)
        {
            Raw("J");
            _bytes.AddRange(BitConverter.GetBytes((int)value));
            return this;
        }

        Raw("\u008a\u0008");
        _bytes.AddRange(BitConverter.GetBytes(value));
        return this;
    }

    /// <summary>A dictionary and the end of the pickle, or within another one.</summary>
    public PickleText Dict(params Action<PickleText>[] entries) => Entries(Raw("}("), entries);

    public PickleText OrderedDict(params Action<PickleText>[] entries) => Entries(Raw("ccollections\nOrderedDict\n)R("), entries);

    public PickleText Tensor(string storage, string key, long elements, long offset, long[] shape, long[] strides)
    {
        Raw("ctorch._utils\n_rebuild_tensor_v2\n((").Text("storage").Raw($"ctorch\n{storage}\n").Text(key).Text("cpu").Number(elements).Raw("tQ").Number(offset);
        Tuple(shape);
        Tuple(strides);
        return Raw("\u0089ccollections\nOrderedDict\n)RtR");
    }

    private void Tuple(long[] numbers)
    {
        Raw("(");
        foreach (var number in numbers)
            Number(number);
        Raw("t");
    }

    private static PickleText Entries(PickleText pickle, Action<PickleText>[] entries)
    {
        foreach (var entry in entries)
            entry(pickle);
        return pickle.Raw("u.").DropStopUnlessLast();
    }

    /// <summary>A nested dictionary ends without the pickle's end.</summary>
    private PickleText DropStopUnlessLast()
    {
        if (_bytes.Count >= 3 && _bytes[^3] == '.')
            _bytes.RemoveAt(_bytes.Count - 3);
        return this;
    }
}
