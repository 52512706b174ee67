using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Gradients of a loss with respect to stored tensors, in the layout in which they are stored; and sums of their squares.</summary>
internal sealed class ParameterGradients
{
    private const int Piece = 1 << 16;
    private readonly SortedDictionary<string, (float[] Gradient, float[] Squares)> _tensors = new(StringComparer.Ordinal);
    private readonly List<(float[] Gradient, float[] Squares, int Start, int Count)> _pieces = [];

    /// <summary>Room for the wanted tensors.</summary>
    /// <param name="sizes">Elements of each tensor, by the architecture's name for it; gradients of others are not worked out.</param>
    /// <exception cref="InputException">A tensor is too large.</exception>
    public ParameterGradients(IReadOnlyDictionary<string, long> sizes)
    {
        foreach (var (name, size) in sizes)
        {
            if (size > Array.MaxLength)
                throw new InputException($"tensor '{name}' has {size:N0} elements; gradients of at most {Array.MaxLength:N0} in one tensor are possible");
            var (gradient, squares) = _tensors[name] = (new float[size], new float[size]);
            for (var start = 0; start < size; start += Piece)
                _pieces.Add((gradient, squares, start, (int)Math.Min(Piece, size - start)));
        }
    }

    /// <summary>The names of all wanted tensors.</summary>
    public IEnumerable<string> Names => _tensors.Keys;

    /// <summary>The gradient of a part of a tensor, to be added to; empty where it is not wanted.</summary>
    public Span<float> Of(string name, long offset, int count) =>
        _tensors.TryGetValue(name, out var tensor) ? tensor.Gradient.AsSpan((int)offset, count) : [];

    /// <summary>The gradient of a whole tensor.</summary>
    public float[] Of(string name) => _tensors[name].Gradient;

    /// <summary>The sums of squares of a whole tensor.</summary>
    public float[] Squares(string name) => _tensors[name].Squares;

    /// <summary>Adds the squares of all gradients to the sums, and sets the gradients to 0.</summary>
    public void TakeSquares(WorkerPool pool) => pool.For(_pieces.Count, (index, _) =>
    {
        var (gradients, sums, start, count) = _pieces[index];
        var gradient = gradients.AsSpan(start, count);
        var squares = sums.AsSpan(start, count);
        TensorPrimitives.MultiplyAdd<float>(gradient, gradient, squares, squares);
        gradient.Clear();
    });
}
