using System.Numerics.Tensors;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>A model's laws at some positions, in double precision. Only ids below <paramref name="vocabulary"/>: rows of padding are cut.</summary>
internal sealed class RowLogits(ILogitRows rows, int width, int vocabulary) : IAnswerLogits, IDisposable
{
    private float[] _buffer = [];

    public int Positions => rows.Count;

    public int VocabularySize => vocabulary;

    public void Read(int first, int count, Span<double> logits)
    {
        if (_buffer.Length < count * width)
            _buffer = new float[count * width];
        rows.Read(first, _buffer.AsSpan(0, count * width));
        for (var i = 0; i < count; i++)
            TensorPrimitives.ConvertChecked<float, double>(_buffer.AsSpan(i * width, vocabulary), logits.Slice(i * vocabulary, vocabulary));
    }

    public void Dispose() => rows.Dispose();
}
