using System.Diagnostics;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>From safetensors files in the page cache to weights on a GPU, beside a plain read of the files and copies from pinned memory.</summary>
internal static class GpuLoadBenchmark
{
    /// <summary>Writes the checkpoint where it is not there yet, then opens it three times.</summary>
    public static void Run(string name, string json, string folder, int device)
    {
        if (!Directory.Exists(folder))
            Write(json, folder);
        var files = Directory.GetFiles(folder, "*.safetensors");
        var bytes = files.Sum(file => new FileInfo(file).Length);
        var read = double.MaxValue;
        for (var i = 0; i < 2; i++)
        {
            var clock = Stopwatch.StartNew();
            Parallel.ForEach(files, Read);
            read = Math.Min(read, clock.Elapsed.TotalSeconds);
        }

        var times = new List<double>();
        for (var i = 0; i < 4; i++)
        {
            var clock = Stopwatch.StartNew();
            using var model = LanguageModel.Open(folder, device: DeviceChoice.OnCuda(device));
            times.Add(clock.Elapsed.TotalSeconds);
        }

        var best = times.Skip(1).Order().First();
        Console.WriteLine(
            $"{name}: {bytes / 1e9:f2} GB in {files.Length} files; opened in {times[0]:f2} s at first, then {best:f2} s at best ({bytes / 1e9 / best:f1} GB/s); "
            + $"a plain read of the cached files by a thread each {bytes / 1e9 / read:f1} GB/s");
        Console.Out.Flush();
    }

    private static void Read(string file)
    {
        var buffer = new byte[8 << 20];
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        while (stream.Read(buffer) > 0)
        {
        }
    }

    private static void Write(string json, string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), json);
        using var weights = new RepeatedWeights(ModelConfig.Parse("config.json", json));
        var tensors = weights.Names.Select(name => weights.TryGet(name, out var tensor) ? (Name: name, Tensor: tensor) : throw new InvalidOperationException(name)).ToList();
        var planned = tensors.Select(t => new PlannedTensor(t.Name, DType.BF16, [.. t.Tensor.Shape], t.Tensor.Shape.Aggregate(2L, (a, b) => a * b))).ToList();
        var layout = ShardLayout.Create(planned, 4_000_000_000);
        Parallel.ForEach(layout.Shards, shard =>
        {
            using var file = File.Create(Path.Combine(folder, shard.FileName), 0);
            file.Write(shard.Header);
            foreach (var placed in shard.Tensors)
                Copy(tensors.First(t => t.Name == placed.Tensor.Name).Tensor.Data, placed.Tensor.ByteLength, file);
        });
        if (layout.IndexJson is { } index)
            File.WriteAllText(Path.Combine(folder, ShardLayout.IndexFileName), index);
    }

    private static unsafe void Copy(nint from, long bytes, Stream file)
    {
        const int Step = 64 << 20;
        for (var at = 0L; at < bytes; at += Step)
            file.Write(new ReadOnlySpan<byte>((void*)(from + (nint)at), (int)Math.Min(Step, bytes - at)));
    }
}
