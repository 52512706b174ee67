using System.Buffers.Binary;
using System.Text;

namespace MergeKit.Core.Checkpoints.PyTorch;

/// <summary>Reads a pickle that builds containers, numbers, texts and tensors, and nothing else. It is a machine without the opcodes' power:
/// no class is imported and nothing is called; names that stand for tensors are recognised, any other name is refused and named.
/// Opcodes: Python's pickletools, protocols 0 to 5.</summary>
internal sealed class PickleReader(byte[] data)
{
    private const int MostItems = 4_000_000;
    private readonly List<object?> _stack = [];
    private readonly Stack<int> _marks = new();
    private readonly Dictionary<long, object?> _memo = [];
    private int _at, _made;

    /// <summary>The pickled value.</summary>
    /// <exception cref="PickleException">It is malformed, or asks for what is not allowed.</exception>
    public object? Read()
    {
        while (true)
        {
            var opcode = Byte();
            if (opcode == '.')
                return Pop();
            if (++_made > MostItems)
                throw new PickleException($"it has more than {MostItems} instructions");
            Step(opcode);
        }
    }

    private void Step(byte opcode)
    {
        switch ((char)opcode)
        {
            case '\x80': Protocol(Byte()); break;
            case '\x95': Take(8); break; // a frame's length: framing is a matter of buffering only
            case '(': _marks.Push(_stack.Count); break;
            case '0': Pop(); break;
            case '1': PopMark(); break;
            case '2': Push(Peek()); break;
            case 'N': Push(null); break;
            case '\x88': Push(true); break;
            case '\x89': Push(false); break;
            case '}': Push(new PickleDictionary()); break;
            case ']' or '\x8f': Push(new List<object?>()); break;
            case ')': Push(Array.Empty<object?>()); break;
            case 't': Push(PopMark().ToArray()); break;
            case 'l': Push(PopMark()); break;
            case 'd': Push(Fill(new PickleDictionary(), PopMark())); break;
            case '\x85': Tuple(1); break;
            case '\x86': Tuple(2); break;
            case '\x87': Tuple(3); break;
            case 's': SetItem(); break;
            case 'u': SetItems(); break;
            case 'a': Append(); break;
            case 'e' or '\x90': Append(PopMark()); break;
            case 'q': _memo[Byte()] = Peek(); break;
            case 'r': _memo[U32()] = Peek(); break;
            case '\x94': _memo[_memo.Count] = Peek(); break;
            case 'h': Push(Recall(Byte())); break;
            case 'j': Push(Recall(U32())); break;
            case 'Q': Push(PickleBuilder.Storage(Pop())); break;
            case 'c': Push(new PickleGlobal(Line(), Line())); break;
            case '\x93': StackGlobal(); break;
            case 'R': Reduce(); break;
            case '\x81': Reduce(); break; // NEWOBJ: class and arguments, like a call of the class
            case 'b': Build(); break;
            default: Scalar(opcode); break;
        }
    }

    private void Scalar(byte opcode)
    {
        switch ((char)opcode)
        {
            case 'K': Push((long)Byte()); break;
            case 'M': Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
            case 'J': Push((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
            case '\x8a': Push(Long(Byte())); break;
            case 'G': Push(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
            case 'X': Push(Text(U32())); break;
            case '\x8c': Push(Text(Byte())); break;
            case '\x8d': Push(Text(BinaryPrimitives.ReadInt64LittleEndian(Take(8)))); break;
            case 'T' or 'B': Push(Take(U32()).ToArray()); break;
            case 'U' or 'C': Push(Take(Byte()).ToArray()); break;
            case 'i' or 'o': throw new PickleException("it makes an instance of a class (opcode INST or OBJ), which a checkpoint of tensors needs nowhere");
            case '\x82' or '\x83' or '\x84': throw new PickleException("it uses the extension registry (opcode EXT), which can stand for any code");
            case 'P': throw new PickleException("it has a persistent id in text form (opcode PERSID), which PyTorch does not write");
            default: throw new PickleException($"opcode 0x{opcode:x2} at byte {_at - 1} is not one that a checkpoint of tensors needs");
        }
    }

    private static void Protocol(byte version)
    {
        if (version > 5)
            throw new PickleException($"pickle protocol {version} is unknown; 0 to 5 are known");
    }

    private void StackGlobal()
    {
        var (name, module) = (Pop() as string, Pop() as string);
        Push(module is not null && name is not null ? new PickleGlobal(module, name) : throw new PickleException("the name of a class is not a text"));
    }

    private void Reduce()
    {
        var arguments = Pop() as object?[] ?? throw new PickleException("the arguments of a call are not a tuple");
        Push(Pop() is PickleGlobal function
            ? PickleBuilder.Call(function, arguments)
            : throw new PickleException("it calls a value that is not a name"));
    }

    private void Build()
    {
        Pop(); // attributes of a container or tensor (such as _metadata): they do not change what it holds
        if (Peek() is not (PickleDictionary or PickleTensor or List<object?>))
            throw new PickleException("it sets the state of an object that is neither a container nor a tensor");
    }

    private void Tuple(int count)
    {
        var items = new object?[count];
        for (var i = count - 1; i >= 0; i--)
            items[i] = Pop();
        Push(items);
    }

    private void SetItem()
    {
        var (value, key) = (Pop(), Pop());
        Dictionary().Set(key, value);
    }

    private void SetItems()
    {
        var items = PopMark();
        Fill(Dictionary(), items);
    }

    private static PickleDictionary Fill(PickleDictionary dictionary, List<object?> items)
    {
        if (items.Count % 2 != 0)
            throw new PickleException("a dictionary has a key without a value");
        for (var i = 0; i < items.Count; i += 2)
            dictionary.Set(items[i], items[i + 1]);
        return dictionary;
    }

    private void Append()
    {
        var item = Pop();
        Append([item]);
    }

    private void Append(List<object?> items)
    {
        if (Peek() is not List<object?> list)
            throw new PickleException("it appends to a value that is not a list");
        list.AddRange(items);
    }

    private PickleDictionary Dictionary() => Peek() as PickleDictionary ?? throw new PickleException("it sets an item of a value that is not a dictionary");

    private object? Recall(long key) => _memo.TryGetValue(key, out var value) ? value : throw new PickleException($"it recalls item {key}, which it never stored");

    private void Push(object? value) => _stack.Add(value);

    private object? Pop()
    {
        var value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object? Peek() => _stack.Count > (_marks.Count > 0 ? _marks.Peek() : 0) ? _stack[^1] : throw new PickleException("it takes a value from an empty stack");

    private List<object?> PopMark()
    {
        if (_marks.Count == 0)
            throw new PickleException("it closes a group that it never opened");
        var mark = _marks.Pop();
        var items = _stack[mark..];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return items;
    }

    private byte Byte() => Take(1)[0];

    private uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    private long Long(int bytes)
    {
        if (bytes > 8)
            throw new PickleException($"an integer of {bytes} bytes; at most 8 are believed");
        var taken = Take(bytes);
        var value = 0L;
        for (var i = 0; i < bytes; i++)
            value |= (long)taken[i] << (8 * i);
        return bytes is > 0 and < 8 && (taken[bytes - 1] & 0x80) != 0 ? value - (1L << (8 * bytes)) : value;
    }

    private string Text(long length) => Encoding.UTF8.GetString(Take(length));

    private string Line()
    {
        var end = Array.IndexOf(data, (byte)'\n', _at);
        if (end < 0)
            throw new PickleException("a name has no end");
        var line = Encoding.UTF8.GetString(data, _at, end - _at);
        _at = end + 1;
        return line;
    }

    private ReadOnlySpan<byte> Take(long count)
    {
        if (count < 0 || count > data.Length - _at)
            throw new PickleException($"it ends at byte {data.Length} in the middle of a value");
        _at += (int)count;
        return data.AsSpan(_at - (int)count, (int)count);
    }
}
