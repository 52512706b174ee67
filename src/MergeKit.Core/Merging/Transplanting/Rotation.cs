using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>How a rotary position turns a row that is cut into heads: elements i and i + d/2 of each head of d elements turn by p theta^(-2i/d).</summary>
internal sealed class Rotation
{
    private readonly int _heads, _half;
    private readonly double[] _frequencies;
    private readonly double _square;

    /// <summary>For rows of so many heads.</summary>
    /// <param name="heads">Heads in a row.</param>
    /// <param name="headSize">Elements of a head; even.</param>
    /// <param name="theta">The base of the frequencies.</param>
    public Rotation(int heads, int headSize, double theta)
    {
        (_heads, _half) = (heads, headSize / 2);
        _frequencies = [.. Enumerable.Range(0, _half).Select(i => Math.Pow(theta, -2.0 * i / headSize))];
        _square = heads * _frequencies.Sum(frequency => frequency * frequency);
    }

    /// <summary>A model's rotation for rows as wide as its embedding, or null with the problem.</summary>
    public static Rotation? Of(LoadedModel model, int width, List<Problem> problems)
    {
        var heads = model.Config?.GetInt("num_attention_heads") ?? 0;
        if (heads is < 1 or > int.MaxValue / 2 || width % (2 * heads) != 0)
        {
            problems.Add(Problem.Error(string.Create(CultureInfo.InvariantCulture, $"model '{model}': its config.json says num_attention_heads {heads}; for --method mp_rope a number is wanted that cuts rows of {width} elements into heads of an even size")));
            return null;
        }

        var size = width / (int)heads;
        var theta = model.Config!.Json["rope_parameters"] is JsonObject parameters && parameters["rope_theta"] is JsonValue value && value.TryGetValue(out double own) ? own : model.Config.GetDouble("rope_theta") ?? 10000;
        if (theta > 1)
            return new Rotation((int)heads, size, theta);
        problems.Add(Problem.Error(string.Create(CultureInfo.InvariantCulture, $"model '{model}': its config.json says rope_theta {theta}; more than 1 is wanted")));
        return null;
    }

    /// <summary>The position that turns x towards y: the angles between their pairs, projected on the frequencies.</summary>
    public double Position(ReadOnlySpan<float> x, ReadOnlySpan<double> y, double sign)
    {
        var sum = 0.0;
        for (var head = 0; head < _heads; head++)
            for (var i = 0; i < _half; i++)
            {
                var (p, q) = (2 * head * _half + i, (2 * head + 1) * _half + i);
                var (along, across) = (x[p] * y[p] + x[q] * y[q], x[p] * y[q] - x[q] * y[p]);
                sum += Math.Atan2(sign * across, sign * along) * _frequencies[i];
            }

        return sum / _square;
    }

    /// <summary>sum += factor R(position) x.</summary>
    public void AddTurned(ReadOnlySpan<float> x, double position, double factor, Span<double> sum)
    {
        for (var i = 0; i < _half; i++)
        {
            var (sine, cosine) = Math.SinCos(position * _frequencies[i]);
            for (var head = 0; head < _heads; head++)
            {
                var (p, q) = (2 * head * _half + i, (2 * head + 1) * _half + i);
                sum[p] += factor * (x[p] * cosine - x[q] * sine);
                sum[q] += factor * (x[q] * cosine + x[p] * sine);
            }
        }
    }
}
