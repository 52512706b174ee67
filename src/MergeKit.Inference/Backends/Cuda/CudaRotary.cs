using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Cosines and sines of rotary embeddings on the device.</summary>
internal sealed class CudaRotary(CudaContext cuda) : IDisposable
{
    private readonly RotaryTables _tables = new();
    private readonly Dictionary<RopeSpec, Entry> _entries = new(ReferenceEqualityComparer.Instance);

    /// <summary>The tables for a batch, [rows, dim / 2] each, and the row of each token.</summary>
    public (nint Cos, nint Sin, nint Rows) Get(RopeSpec rope, CudaBatch batch)
    {
        ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, rope, out var known);
        if (!known)
            entry = new Entry(new CudaBuffer(cuda), new CudaBuffer(cuda), new CudaBuffer(cuda));
        return rope.DependsOnLength ? PerToken(rope, batch.Current!, entry!) : Shared(rope, batch, entry!);
    }

    public void Dispose()
    {
        foreach (var entry in _entries.Values)
            foreach (var buffer in new[] { entry.Cos, entry.Sin, entry.Rows })
                buffer.Dispose();
    }

    private (nint Cos, nint Sin, nint Rows) Shared(RopeSpec rope, CudaBatch batch, Entry entry)
    {
        var table = _tables.Get(rope, batch.Current!.Positions.Max() + 1);
        if (!ReferenceEquals(entry.Sent, table))
        {
            entry.Cos.Fill<float>(table.Cos);
            entry.Sin.Fill<float>(table.Sin);
            entry.Sent = table;
        }

        return (entry.Cos.Pointer, entry.Sin.Pointer, batch.Positions);
    }

    /// <summary>Each sequence has a table of its own length: send the rows of the batch's tokens.</summary>
    private (nint Cos, nint Sin, nint Rows) PerToken(RopeSpec rope, ForwardBatch batch, Entry entry)
    {
        if (!ReferenceEquals(entry.Sent, batch))
        {
            var half = rope.Dim / 2;
            var (cos, sin) = (new float[batch.Tokens * half], new float[batch.Tokens * half]);
            foreach (var span in batch.Sequences)
            {
                var table = _tables.Get(rope, span.RotaryLength);
                table.Cos.AsSpan(span.Past * half, span.Count * half).CopyTo(cos.AsSpan(span.Start * half));
                table.Sin.AsSpan(span.Past * half, span.Count * half).CopyTo(sin.AsSpan(span.Start * half));
            }

            entry.Cos.Fill<float>(cos);
            entry.Sin.Fill<float>(sin);
            entry.Rows.Fill<int>(Enumerable.Range(0, batch.Tokens).ToArray());
            entry.Sent = batch;
        }

        return (entry.Cos.Pointer, entry.Sin.Pointer, entry.Rows.Pointer);
    }

    private sealed record Entry(CudaBuffer Cos, CudaBuffer Sin, CudaBuffer Rows)
    {
        /// <summary>The table or batch whose values are on the device.</summary>
        public object? Sent { get; set; }
    }
}
