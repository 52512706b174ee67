using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>Standard normal numbers that are a pure function of (seed, tensor, stream, element), by the transform of Box and Muller:
/// z = sqrt(-2 ln u) cos(2 pi v), where u and v are <see cref="CounterRandom"/> words of the streams 2 s and 2 s + 1.</summary>
public readonly struct CounterGaussian
{
    private const float Unit = 1f / 4294967296f;
    private readonly CounterRandom _radius, _angle;

    /// <summary>The generator of one tensor.</summary>
    public CounterGaussian(ulong seed, string tensor, int stream) =>
        (_radius, _angle) = (new CounterRandom(seed, tensor, 2 * stream), new CounterRandom(seed, tensor, (2 * stream) + 1));

    /// <summary>The numbers of elements <paramref name="start"/> onwards.</summary>
    public void Fill(long start, Span<float> destination)
    {
        const int step = 512;
        Span<uint> words = stackalloc uint[step];
        Span<float> angles = stackalloc float[step];
        for (var done = 0; done < destination.Length; done += step)
        {
            var part = destination.Slice(done, Math.Min(step, destination.Length - done));
            var own = words[..part.Length];
            var cosines = angles[..part.Length];
            _radius.Fill(start + done, own);
            for (var i = 0; i < part.Length; i++)
                part[i] = Math.Min((own[i] + 0.5f) * Unit, 1);
            TensorPrimitives.Log<float>(part, part);
            TensorPrimitives.Multiply(part, -2, part);
            TensorPrimitives.Sqrt<float>(part, part);
            _angle.Fill(start + done, own);
            for (var i = 0; i < part.Length; i++)
                cosines[i] = own[i] * (2 * Unit);
            TensorPrimitives.CosPi<float>(cosines, cosines);
            TensorPrimitives.Multiply<float>(part, cosines, part);
        }
    }
}
