using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>Whole task-vector matrices for methods that decompose them: held in double precision, with the shorter side as rows.</summary>
internal sealed class DeltaMatrix(TensorInputs inputs)
{
    private readonly long _columns = inputs.Job.Shape[^1];

    /// <summary>The most elements of a matrix that can be decomposed.</summary>
    public const long MostElements = 1L << 30;

    /// <summary>The shorter side.</summary>
    public int Rows => (int)Math.Min(_columns, inputs.Count / _columns);

    /// <summary>The longer side.</summary>
    public int Columns => (int)Math.Max(_columns, inputs.Count / _columns);

    private bool IsTransposed => inputs.Count / _columns > _columns;

    /// <summary>Whether a tensor has two axes and at least <paramref name="least"/> rows and columns.</summary>
    public static bool Is(TensorJob job, int least) => job.Shape.Count == 2 && Math.Min(job.Shape[0], job.Shape[1]) >= Math.Max(1, least);

    /// <summary>A complaint about a matrix too large to decompose.</summary>
    public static IEnumerable<string> Check(TensorJob job)
    {
        if (job.Shape.Count == 2 && job.Count > MostElements)
            yield return $"a matrix of {job.Count:N0} elements cannot be decomposed here; at most {MostElements:N0} are possible";
    }

    /// <summary>Bytes of so many matrices in double precision, square ones of the shorter side, and the result.</summary>
    public static long Bytes(TensorJob job, int matrices, int squares) =>
        job.Count * (matrices * sizeof(double) + sizeof(float)) + squares * Math.Min(job.Shape[0], job.Shape[1]) * Math.Min(job.Shape[0], job.Shape[1]) * sizeof(double);

    /// <summary>sum of the task vectors of some models.</summary>
    public double[][] Sum(params int[] models)
    {
        var rows = new double[Rows][];
        for (var i = 0; i < rows.Length; i++)
            rows[i] = new double[Columns];
        inputs.ForEachChunk(chunk =>
        {
            foreach (var model in models)
            {
                var delta = chunk.Source(model);
                TensorPrimitives.Subtract(delta, chunk.Source(inputs.Job.BaseIndex), delta);
                for (var i = 0; i < delta.Length; i++)
                {
                    var (row, column) = At(chunk.Start + i);
                    rows[row][column] += delta[i];
                }
            }
        });
        return rows;
    }

    /// <summary>A loop over the workers.</summary>
    public void Loop(int count, Action<int> body) => inputs.ForEach(count, (index, _) => body(index));

    /// <summary>Decomposes a matrix of this shape, or another with no more rows than columns.</summary>
    public ThinSvd Decompose(double[][] rows) => inputs.Decompose(rows, Loop);

    /// <summary>The decomposition of one such matrix.</summary>
    public static MatrixTask Task(TensorJob job) => MatrixTask.SingularValues(job.Shape[0], job.Shape[1]);

    /// <summary>The elementwise step R = W_b + lambda M, with M made row by row.</summary>
    public ChunkCombiner Add(double lambda, Action<Action<int, double[]>> make)
    {
        var (merged, baseIndex, columns) = (new float[inputs.Count], inputs.Job.BaseIndex, Columns);
        make((i, row) =>
        {
            for (var j = 0; j < row.Length; j++)
                merged[(long)i * columns + j] = (float)(lambda * row[j]);
        });
        return (chunk, result) =>
        {
            for (var i = 0; i < result.Length; i++)
            {
                var (row, column) = At(chunk.Start + i);
                result[i] = merged[(long)row * columns + column];
            }

            TensorPrimitives.Add(result, chunk.Source(baseIndex), result);
        };
    }

    /// <summary>What is done with tensors that are no such matrix: R = W_b + lambda mean(D_i).</summary>
    public static ChunkCombiner Mean(TensorJob job, double lambda) =>
        LinearCombination.Of([.. job.Others], [.. job.Others.Select(_ => lambda / job.Others.Count)], job.BaseIndex);

    private (int Row, int Column) At(long index)
    {
        var (row, column) = ((int)(index / _columns), (int)(index % _columns));
        return IsTransposed ? (column, row) : (row, column);
    }
}
