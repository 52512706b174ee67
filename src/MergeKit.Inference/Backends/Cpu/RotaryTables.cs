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
        var positions = Math.Max(length, rope.DependsOnLength ? 0 : Math.Max(256, 2 * old.Positions));
        var table = new Table(rope, rope.Frequencies(length)) { Positions = positions, Cos = new float[positions * (rope.Dim / 2)], Sin = new float[positions * (rope.Dim / 2)] };
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

            for (var i = 0; i < half; i++)
            {
                var (a, b) = (head[i], head[i + half]);
                (head[i], head[i + half]) = (a * cos[i] - b * sin[i], b * cos[i] + a * sin[i]);
            }
        }
    }
}
