using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>Attention on every path with every mask against plain loops in double precision.</summary>
public sealed class FlashAttentionTests
{
    private static readonly (int Queries, int Keys)[] Ragged = [(1, 1), (5, 5), (1, 300), (0, 4), (131, 131), (7, 260), (33, 129)];

    public static TheoryData<InstructionPath, string> Cases
    {
        get
        {
            var data = new TheoryData<InstructionPath, string>();
            foreach (var path in KernelPaths.Supported)
            {
                foreach (var name in Shapes.Keys)
                    data.Add(path, name);
            }

            return data;
        }
    }

    private static Dictionary<string, (AttentionShape Shape, bool Alibi, bool Sinks)> Shapes { get; } = new()
    {
        ["causal, grouped"] = (new(9, 3, 64, 64, 0.125f, true), false, false),
        ["bidirectional"] = (new(4, 4, 32, 32, 0.2f, false), false, false),
        ["one key-value head, odd widths"] = (new(7, 1, 31, 65, 0.3f, true), false, false),
        ["key width above value width"] = (new(2, 2, 192, 128, 0.07f, true), false, false),
        ["value width 80"] = (new(4, 2, 80, 80, 0.11f, true), false, false),
        ["width 256"] = (new(2, 1, 256, 256, 0.06f, true), false, false),
        ["sliding window"] = (new(4, 2, 16, 16, 0.25f, true, Window: 37), false, false),
        ["window of one"] = (new(4, 2, 16, 16, 0.25f, true, Window: 1), false, false),
        ["window beyond a block"] = (new(2, 1, 16, 16, 0.25f, true, Window: 200), false, false),
        ["bidirectional window"] = (new(2, 1, 16, 16, 0.25f, false, Window: 50), false, false),
        ["soft cap"] = (new(4, 2, 48, 48, 2f, true, Softcap: 5), false, false),
        ["linear bias"] = (new(8, 8, 24, 24, 0.2f, true), true, false),
        ["sinks"] = (new(6, 2, 64, 64, 0.125f, true), false, true),
        ["sinks, window, soft cap and bias"] = (new(6, 3, 40, 24, 0.4f, true, Window: 64, Softcap: 8), true, true),
        ["large scores"] = (new(4, 2, 64, 64, 40f, true), false, false),
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_the_plain_loops(InstructionPath path, string name)
    {
        var (shape, alibi, sinks) = Shapes[name];
        using var pool = new WorkerPool(2);
        var random = new SplitMix(3);
        foreach (var padding in new[] { 0, 5 })
        {
            var attention = new AttentionCase(random, shape, Ragged, padding, alibi, sinks);
            Compare(attention.Reference(), attention.Run(path, pool), shape.Scale > 10 ? 3e-4 : 3e-6, $"{path}, {name}");
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void A_query_without_keys_gives_zeros(InstructionPath path)
    {
        using var pool = new WorkerPool(2);
        var shape = new AttentionShape(2, 1, 8, 8, 1, true);
        var output = new AttentionCase(new SplitMix(4), shape, [(3, 0), (5, 2)], 0, alibi: false, sinks: false).Run(path, pool);
        var reference = new AttentionCase(new SplitMix(4), shape, [(3, 0), (5, 2)], 0, alibi: false, sinks: false).Reference();
        Assert.All(output[..(6 * 16)], value => Assert.Equal(0, value));
        Compare(reference, output, 3e-6, "partly hidden");
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Threads_and_batch_do_not_change_a_bit(InstructionPath path)
    {
        var shape = new AttentionShape(6, 2, 40, 40, 0.15f, true, Window: 150);
        var attention = new AttentionCase(new SplitMix(5), shape, [(200, 300), (1, 1500), (65, 65), (1, 40)], 0, alibi: false, sinks: true);
        float[]? first = null;
        foreach (var threads in new[] { 1, 2, 3, 8 })
        {
            using var pool = new WorkerPool(threads);
            var output = attention.Run(path, pool);
            Assert.Equal(first ??= output, output);
        }

        using var one = new WorkerPool(1);
        for (var s = 0; s < 4; s++)
        {
            var alone = attention.Run(path, one, only: s);
            for (var i = 0; i < alone.Length; i++)
                Assert.True(float.IsNaN(alone[i]) || alone[i] == first![i]);
            Assert.Contains(alone, float.IsFinite);
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Long_sequences_and_few_queries(InstructionPath path)
    {
        using var pool = new WorkerPool(3);
        foreach (var window in new[] { 0, 700 })
        {
            var shape = new AttentionShape(6, 2, 32, 48, 0.2f, true, window);
            var attention = new AttentionCase(new SplitMix(6), shape, [(1, 2500), (3, 1025), (8, 1024), (2, 513), (1, 512)], 0, alibi: window == 0, sinks: window > 0);
            Compare(attention.Reference(), attention.Run(path, pool), 3e-6, $"{path}, window {window}");
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Not_a_number_is_not_hidden(InstructionPath path)
    {
        using var pool = new WorkerPool(1);
        var shape = new AttentionShape(1, 1, 8, 8, float.NaN, true);
        var output = new AttentionCase(new SplitMix(4), shape, [(4, 4)], 0, alibi: false, sinks: false).Run(path, pool);
        Assert.All(output, value => Assert.True(float.IsNaN(value)));
    }

    [Fact]
    public void Refuses_shapes_that_do_not_fit()
    {
        using var pool = new WorkerPool(1);
        var good = new AttentionShape(4, 2, 8, 8, 1, true);
        var inputs = new AttentionInputs(0, 32, [new AttentionSequence(0, 2, 0, 0, 2, 8, 16, 8, 16)]);
        Assert.Throws<ArgumentException>(() => FlashAttention.Run(good with { KvHeads = 3 }, inputs, new float[64], pool));
        Assert.Throws<ArgumentException>(() => FlashAttention.Run(good with { KvHeads = 0 }, inputs, new float[64], pool));
        Assert.Throws<ArgumentException>(() => FlashAttention.Run(good, inputs, new float[63], pool));
        Assert.Throws<ArgumentException>(() => FlashAttention.Run(good, inputs with { Sinks = [1] }, new float[64], pool));
        Assert.Throws<ArgumentException>(() => FlashAttention.Run(good, inputs with { AlibiSlopes = [1] }, new float[64], pool));
    }

    private static void Compare(double[] expected, float[] actual, double tolerance, string name)
    {
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"{name}: element {i} is {actual[i]}, not {expected[i]}");
    }
}
