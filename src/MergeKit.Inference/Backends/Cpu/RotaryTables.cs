using System.Numerics;
using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Cosines and sines of rotary embeddings, by position; rebuilt per length where they depend on it.</summary>
internal sealed class RotaryTables
{
    private readonly Dictionary<RopeSpec, Table> _tables = new(ReferenceEqualityComparer.Instance);

    /// <summary>The table for a sequence of <paramref name="length"/> positions.</summary>
    public Table Get(RopeSpec rope, int length)
    {
        if (!_tables.TryGetValue(rope, out var table))
            table = new Table(rope, []);
        if (table.Positions < length || (rope.DependsOnLength && !table.Frequencies.AsSpan().SequenceEqual(rope.Frequencies(length))))
            table = Build(rope, length, table);
        return _tables[rope] = table;
    }

    private static Table Build(RopeSpec rope, int length, Table old)
    {
        var frequencies = rope.Frequencies(length);
        var isStable = !rope.DependsOnLength || old.Frequencies.AsSpan().SequenceEqual(frequencies);
        var positions = isStable ? (int)Math.Min(int.MaxValue, Math.Max(length, Math.Max(256, 2L * old.Positions))) : length;
        var size = checked(positions * (rope.Dim / 2));
        var table = new Table(rope, frequencies) { Positions = positions, Cos = new float[size], Sin = new float[size] };
        for (var position = 0; position < positions; position++)
        {
            for (var i = 0; i < table.Frequencies.Length; i++)
            {
                var (sin, cos) = Math.SinCos(position * table.Frequencies[i]);
                table.Cos[position * table.Frequencies.Length + i] = (float)(cos * rope.AttentionFactor);
                table.Sin[position * table.Frequencies.Length + i] = (float)(sin * rope.AttentionFactor);
            }
        }

        return table;
    }

    /// <summary>One table, [positions, dim / 2].</summary>
    internal sealed class Table(RopeSpec rope, double[] frequencies)
    {
        public double[] Frequencies { get; } = frequencies;

        public int Positions { get; init; }

        public float[] Cos { get; init; } = [];

        public float[] Sin { get; init; } = [];

        /// <summary>Rotates the first Dim elements of a head in place.</summary>
        public void Rotate(Span<float> head, int position)
        {
            var half = rope.Dim / 2;
            var cos = Cos.AsSpan(position * half, half);
            var sin = Sin.AsSpan(position * half, half);
            if (rope.Interleaved)
            {
                for (var i = 0; i < half; i++)
                {
                    var (a, b) = (head[2 * i], head[2 * i + 1]);
                    (head[2 * i], head[2 * i + 1]) = (a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]);
                }

                return;
            }

            RotateHalves(head[..half], head.Slice(half, half), cos, sin);
        }

        private static void RotateHalves(Span<float> first, Span<float> second, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
        {
            var i = 0;
            for (; i + Vector<float>.Count <= first.Length; i += Vector<float>.Count)
            {
                var (a, b) = (new Vector<float>(first[i..]), new Vector<float>(second[i..]));
                var (c, s) = (new Vector<float>(cos[i..]), new Vector<float>(sin[i..]));
                (a * c - b * s).CopyTo(first[i..]);
                (b * c + a * s).CopyTo(second[i..]);
            }

            for (; i < first.Length; i++)
                (first[i], second[i]) = (first[i] * cos[i] - second[i] * sin[i], second[i] * cos[i] + first[i] * sin[i]);
        }
    }
}
