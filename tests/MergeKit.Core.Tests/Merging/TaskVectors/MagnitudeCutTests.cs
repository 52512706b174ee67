using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Merging.TaskVectors;

/// <summary>The streaming search for the k largest against a stable sort.</summary>
public class MagnitudeCutTests
{
    public static TheoryData<int, string> Layouts()
    {
        var data = new TheoryData<int, string>();
        foreach (var count in new[] { 1, 2, 17, 1000, 16385, 65536, 65537, 300_001, 1_500_000 })
            foreach (var layout in new[] { "random", "ties", "equal", "zeros", "nan", "blocks", "hidden" })
                data.Add(count, layout);
        return data;
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Keeps_what_a_stable_sort_keeps(int count, string layout)
    {
        var words = new uint[count];
        new CounterRandom(3, layout, count).Fill(0, words);
        var delta = words.Select((word, i) => Value(layout, word, i, count)).ToArray();
        var order = Enumerable.Range(0, count).OrderByDescending(i => BitConverter.SingleToUInt32Bits(delta[i]) & 0x7FFFFFFF).ToArray();
        foreach (var keep in new long[] { 1, count / 10, count / 2, count - 1, count }.Where(keep => keep > 0).Distinct())
        {
            var wanted = new float[count];
            foreach (var i in order.Take((int)keep))
                wanted[i] = delta[i];
            var cut = Find(delta, keep);
            var actual = delta.ToArray();
            for (var start = 0; start < count; start += 4099)
                Trimmer.Magnitude(cut).Apply(actual.AsSpan(start, Math.Min(4099, count - start)), start, []);
            Assert.True(wanted.AsSpan().SequenceEqual(actual) || wanted.Zip(actual).All(p => p.First.Equals(p.Second) || (p.First == 0 && p.Second == 0)), $"keep {keep} of {count}");
        }
    }

    /// <summary>"blocks": sorted, so that a strided sample sees steps; "hidden": all magnitudes above the cut sit in one corner.</summary>
    private static float Value(string layout, uint word, int i, int count) => layout switch
    {
        "random" => (int)word / 2147483648f,
        "ties" => (int)(word % 9) - 4,
        "equal" => (word & 1) == 0 ? 0.25f : -0.25f,
        "zeros" => word % 3 == 0 ? (int)word / 2147483648f : 0,
        "nan" => (word % 50) switch { 0 => float.NaN, 1 => float.PositiveInfinity, 2 => float.NegativeInfinity, _ => (int)word / 2147483648f },
        "blocks" => i / 1000,
        _ => i % 1021 < 700 ? 1e-3f : i > count / 2 ? 5 : (int)word / 2147483648f,
    };

    private static MagnitudeCut Find(float[] delta, long keep)
    {
        MagnitudeCut[] cuts = [];
        var none = new Dictionary<string, double>();
        var job = new TensorJob("t", [delta.Length], DType.F32, MethodCatalog.Find("ties")!,
            [new JobSource("base", new Memory(new float[delta.Length]), true, none), new JobSource("model", new Memory(delta), false, none)], none);
        using var pool = new WorkerPool(2, _ => new WorkerBuffers(5, 32768), default);
        pool.Add(worker => cuts = MagnitudeCut.Find(new TensorInputs(job, 0, worker), [(1, keep)]));
        pool.Run();
        return Assert.Single(cuts) is var cut ? cut : default;
    }

    private sealed record Memory(float[] Values) : ITensorSource
    {
        public string Description => "memory";

        public DType Type => DType.F32;

        public long Count => Values.Length;

        public (Checkpoint, TensorInfo)? Verbatim => null;

        public void Read(long start, Span<float> destination, Span<byte> scratch) => Values.AsSpan((int)start, destination.Length).CopyTo(destination);
    }
}
