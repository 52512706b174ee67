using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>One source of an output tensor.</summary>
/// <param name="Model">The model as the recipe names it.</param>
/// <param name="Data">Its elements.</param>
/// <param name="IsBase">Whether it is the base model of the merge.</param>
/// <param name="Parameters">The resolved per-model parameters.</param>
public sealed record JobSource(string Model, ITensorSource Data, bool IsBase, IReadOnlyDictionary<string, double> Parameters)
{
    /// <summary>What the model's statistics file says of the tensor; null where it says nothing or the method does not ask.</summary>
    public ITensorSource? Statistics { get; init; }
}

/// <summary>One output tensor, decided down to the last parameter; no data read.</summary>
/// <param name="Name">The output tensor's name.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="OutputType">Its type on disk.</param>
/// <param name="Method">How it is made.</param>
/// <param name="Sources">What it is made of, in listing order.</param>
/// <param name="Parameters">The resolved parameters that concern all sources together.</param>
public sealed record TensorJob(
    string Name,
    IReadOnlyList<long> Shape,
    DType OutputType,
    MergeMethod Method,
    IReadOnlyList<JobSource> Sources,
    IReadOnlyDictionary<string, double> Parameters)
{
    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Count { get; } = Shape.Aggregate(1L, (product, extent) => checked(product * extent));

    /// <summary>Layer of the result, or null outside the layers.</summary>
    public int? Layer { get; init; }

    /// <summary>How deep in the result the tensor is: layer / (layers - 1); 0 before the layers, 1 after them and in a single layer.</summary>
    public double Depth { get; init; }

    /// <summary>Bytes of the result.</summary>
    public long ByteLength => Count * OutputType.Size();

    /// <summary>Index of the base among the sources, or -1.</summary>
    public int BaseIndex { get; } = Sources.ToList().FindIndex(source => source.IsBase);

    /// <summary>Indices of the sources that are not the base.</summary>
    public IReadOnlyList<int> Others { get; } = [.. Enumerable.Range(0, Sources.Count).Where(i => !Sources[i].IsBase)];

    /// <summary>A resolved parameter that concerns all sources.</summary>
    public double Get(string parameter) => Parameters[parameter];

    /// <summary>A resolved yes/no parameter.</summary>
    public bool Is(string parameter) => Parameters[parameter] != 0;

    /// <summary>A resolved parameter of one source.</summary>
    public double Get(int source, string parameter) => Sources[source].Parameters[parameter];

    /// <summary>The shape as text.</summary>
    public string ShapeText => TensorInfo.Text(Shape);
}
