using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>Tensors of more than 2^31 elements: their elements, blocks and offsets are counted in 64 bits everywhere.</summary>
public class LargeTensorTests
{
    private const long Rows = 65537, Columns = 32768, Count = Rows * Columns;
    private const long Room = 6_000_000_000;

    [Fact]
    public void A_sum_sees_every_block_once_and_in_its_place()
    {
        var job = new TensorJob("w", [Rows, Columns], DType.F32, MethodCatalog.Find("passthrough")!,
            [new JobSource("m", new Spikes(Count), false, new Dictionary<string, double> { ["scale"] = 1 })], new Dictionary<string, double>());
        double[]? sums = null;
        using var pool = new WorkerPool(Environment.ProcessorCount, _ => new WorkerBuffers(4, 1 << 16), CancellationToken.None);
        pool.Add(worker => sums = new TensorInputs(job, 0, worker).Sum(2, (chunk, offset, length, sum) =>
        {
            foreach (var value in chunk.Source(0).Slice(offset, length))
                sum[0] += value;
            sum[1] = length;
        }));
        pool.Run();
        Assert.Equal([Spikes.Places(Count).Count(), Count], sums!);
    }

    [Fact]
    public void Checksums_of_far_blocks_differ_and_add_up_in_any_order()
    {
        var bytes = new byte[3 * BlockChecksum.Elements];
        bytes.AsSpan().Fill(7);
        var far = (1L << 31) / BlockChecksum.Elements * BlockChecksum.Elements;
        long[] starts = [0, far, 2 * far, far + BlockChecksum.Elements];
        Assert.Equal(starts.Length, starts.Select(start => BlockChecksum.Of(bytes, start, 1)).Distinct().Count());
        var whole = BlockChecksum.Of(bytes, far, 1);
        var parts = Enumerable.Range(0, 3).Reverse().Aggregate(0UL, (sum, i) => unchecked(sum + BlockChecksum.Of(bytes.AsSpan(i * BlockChecksum.Elements, BlockChecksum.Elements), far + ((long)i * BlockChecksum.Elements), 1)));
        Assert.Equal(whole, parts);
    }

    [Fact]
    public void A_layout_of_terabytes_has_the_right_offsets()
    {
        var tensors = Enumerable.Range(0, 5).Select(i => new PlannedTensor($"t{i}", DType.BF16, [1L << 20, 1L << 20], 1L << 41)).ToList();
        var layout = ShardLayout.Create(tensors, long.MaxValue / 2);
        var shard = Assert.Single(layout.Shards);
        Assert.Equal(Enumerable.Range(0, 5).Select(i => shard.Header.Length + (i * (1L << 41))), shard.Tensors.Select(placed => placed.Offset));
        Assert.Equal(shard.Header.Length + (5 * (1L << 41)), layout.TotalBytes);
    }

    [Fact]
    public void Such_a_tensor_is_merged_for_real()
    {
        using var scratch = TemporaryFolder.InMemory(Room);
        Assert.SkipWhen(new DriveInfo(scratch.Path).AvailableFreeSpace < Room || GC.GetGCMemoryInfo().TotalAvailableMemoryBytes < 2 * Room,
            $"not run: it takes {Room:N0} bytes in {scratch.Path} and twice that memory");
        Directory.CreateDirectory(scratch.Join("m"));
        File.WriteAllText(scratch.Join("m", "config.json"), "{}");
        var input = scratch.Join("m", "model.safetensors");
        SyntheticModel.SparseFile(input, DType.F8E4M3, ("w", [Rows, Columns]));
        long header;
        using (var file = File.Open(input, FileMode.Open))
        {
            header = file.Length - Count;
            foreach (var place in Spikes.Places(Count))
            {
                file.Position = header + place;
                file.WriteByte(0x38); // 1.0
            }
        }

        InProcessMerge.Run($"merge_method: passthrough\nmodels:\n- model: {scratch.Join("m")}\n", scratch.Join("out"));
        using var result = Checkpoint.Open(scratch.Join("out"));
        var tensor = Assert.Single(result.Tensors);
        Assert.Equal([Rows, Columns], tensor.Shape);
        var window = new byte[64];
        foreach (var place in Spikes.Places(Count))
        {
            var start = Math.Clamp(place - 32, 0, Count - window.Length);
            result.Read(tensor, start, window);
            Assert.Equal(Enumerable.Range(0, window.Length).Select(i => (byte)(start + i == place ? 0x38 : 0)), window);
        }
    }

    /// <summary>Zeros, but for ones at a few places on both sides of every limit.</summary>
    private sealed class Spikes(long count) : ITensorSource
    {
        public string Description => "generated";

        public DType Type => DType.F32;

        public long Count => count;

        public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

        public static IEnumerable<long> Places(long count) => [0, 12345, int.MaxValue - 100L, int.MaxValue + 100L, (1L << 31) + 4096, count - 1];

        public void Read(long start, Span<float> destination, Span<byte> scratch)
        {
            destination.Clear();
            foreach (var place in Places(count))
                if (place >= start && place < start + destination.Length)
                    destination[(int)(place - start)] = 1;
        }
    }
}
