using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints.PyTorch;

/// <summary>The names that a checkpoint's pickle may use, and what each stands for.</summary>
internal static class PickleBuilder
{
    /// <summary>A tensor's storage from its persistent id: ('storage', class, key, place, number of elements).</summary>
    public static PickleStorage Storage(object? id)
    {
        if (id is not object?[] { Length: >= 5 } parts || parts[0] as string != "storage" || parts[1] is not PickleGlobal kind || parts[2] is not string key || parts[4] is not long elements)
            throw new PickleException("a persistent id is not ('storage', class, key, place, count)");
        return new PickleStorage(StorageType(kind), key, elements);
    }

    /// <summary>What calling a name gives.</summary>
    public static object Call(PickleGlobal function, object?[] arguments) => function.FullName switch
    {
        "collections.OrderedDict" => OrderedDictionary(arguments),
        "torch._utils._rebuild_tensor_v2" => Tensor(arguments, null),
        "torch._utils._rebuild_tensor_v3" => Tensor(arguments, arguments.ElementAtOrDefault(6) is PickleGlobal type ? TorchType(type) : null),
        "torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" when arguments.ElementAtOrDefault(0) is PickleTensor tensor => tensor,
        "torch.Size" when arguments is [object?[] or List<object?>] => arguments[0]!,
        _ => throw new PickleException($"it calls {function.FullName}, which a checkpoint of tensors has no need of: code in a pickle is never run"),
    };

    private static PickleDictionary OrderedDictionary(object?[] arguments)
    {
        var made = new PickleDictionary();
        if (arguments is [List<object?> pairs])
            foreach (var pair in pairs)
                made.Set(pair is object?[] { Length: 2 } two ? two[0] : throw new PickleException("an OrderedDict is made of something that is not a pair"), two[1]);
        else if (arguments.Length > 0)
            throw new PickleException("an OrderedDict is made of something that is not a list of pairs");
        return made;
    }

    private static PickleTensor Tensor(object?[] arguments, DType? type)
    {
        if (arguments.Length < 4 || arguments[0] is not PickleStorage storage || arguments[1] is not long offset || Extents(arguments[2]) is not { } shape || Extents(arguments[3]) is not { } strides || shape.Count != strides.Count)
            throw new PickleException("a tensor is not made of a storage, an offset, a shape and as many strides");
        return new PickleTensor(storage, type ?? storage.Type ?? throw new PickleException("a tensor has no element type"), offset, shape, strides);
    }

    private static List<long>? Extents(object? value)
    {
        var items = value as IReadOnlyList<object?>;
        return items is not null && items.Count <= 64 && items.All(item => item is >= 0L) ? [.. items.Cast<long>()] : null;
    }

    private static DType? StorageType(PickleGlobal kind) => kind.FullName switch
    {
        "torch.FloatStorage" => DType.F32,
        "torch.HalfStorage" => DType.F16,
        "torch.BFloat16Storage" => DType.BF16,
        "torch.DoubleStorage" => DType.F64,
        "torch.LongStorage" => DType.I64,
        "torch.IntStorage" => DType.I32,
        "torch.ShortStorage" => DType.I16,
        "torch.CharStorage" => DType.I8,
        "torch.ByteStorage" => DType.U8,
        "torch.BoolStorage" => DType.Bool,
        "torch.storage.UntypedStorage" => null,
        _ => throw new PickleException($"it has a storage of class {kind.FullName}, which is none of PyTorch's known ones"),
    };

    private static DType TorchType(PickleGlobal type) =>
        type.Module == "torch" && DTypes.TryFromTorch(type.Name, out var known) ? known : throw new PickleException($"a tensor has the element type {type.FullName}, which is not supported");
}
