using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;
using MergeKit.Gpu.Tests.Backends.Cuda.Merging;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Decompositions;
using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Decompositions;

/// <summary>Decompositions by cuSOLVER against those of the CPU: singular values, the matrix itself, its polar factor, and merged tensors.</summary>
public sealed class CudaDecomposerTests
{
    private static readonly ParallelLoop Loop = (count, body) => Parallel.For(0, count, body);

    public enum Kind { Random, Graded, RankDeficient, Repeated, Zero }

    [Theory]
    [InlineData(1, 1, Kind.Random)]
    [InlineData(3, 5, Kind.Random)]
    [InlineData(33, 33, Kind.Random)]
    [InlineData(127, 1001, Kind.Random)]
    [InlineData(300, 301, Kind.Graded)]
    [InlineData(97, 640, Kind.RankDeficient)]
    [InlineData(200, 200, Kind.RankDeficient)]
    [InlineData(130, 257, Kind.Repeated)]
    [InlineData(64, 64, Kind.Repeated)]
    [InlineData(40, 90, Kind.Zero)]
    public void Singular_values_the_matrix_and_its_polar_factor_are_those_of_the_CPU(int rows, int columns, Kind kind)
    {
        using var decomposer = Open(leastRows: 1);
        var matrix = Matrix(rows, columns, kind);
        var (wanted, got) = (ThinSvd.Of(Clone(matrix), Loop), decomposer.Decompose(Clone(matrix), Loop));
        Assert.Equal(1, decomposer.Done.Polar + decomposer.Done.Bidiagonal);
        TestContext.Current.TestOutputHelper?.WriteLine($"{kind}: {decomposer.Done}");
        Assert.Equal(wanted.Values.Length, got.Values.Length);
        var scale = wanted.Values.FirstOrDefault();
        for (var k = 0; k < wanted.Values.Length; k++)
            Assert.Equal(wanted.Values[k], got.Values[k], 1e-12 * scale);
        Near(matrix, Product(got, got.Values, rows, columns), 1e-12 * Math.Max(1, scale));
        Near(Product(wanted, [.. wanted.Values.Select(_ => 1.0)], rows, columns), Product(got, [.. got.Values.Select(_ => 1.0)], rows, columns), kind == Kind.Graded ? 1e-7 : 1e-10);
    }

    [Theory]
    [InlineData("iso_c", "")]
    [InlineData("tsv_m", "")]
    public void Merged_tensors_are_those_of_the_CPU(string method, string global)
    {
        var folder = Directory.CreateTempSubdirectory("mergekit-decompositions-").FullName;
        try
        {
            ParentFiles.Write(folder, [("tall", [301, 128]), ("wide", [129, 420]), ("square", [144, 144]), ("small", [9, 7]), ("vector", [33])], [DType.F32], odd: false, seed: 3);
            using var decomposer = Open(leastRows: 64);
            using var plan = ParentFiles.Plan(folder, ParentFiles.Recipe(method, "dtype: float32", global, "", "", ""));
            using var onGpu = ParentFiles.Plan(folder, ParentFiles.Recipe(method, "dtype: float32", global, "", "", ""), decomposer: decomposer);
            foreach (var (job, other) in plan.Jobs.Zip(onGpu.Jobs))
            {
                var wanted = Floats(JobMemory.Make(job, 1));
                var got = Floats(JobMemory.Make(other, 1, decomposer));
                Assert.InRange(Gpu.Error(wanted, got), 0, 1e-6);
            }

            Assert.True(decomposer.Done.Polar + decomposer.Done.Bidiagonal >= 3);
            Assert.Contains("cuSOLVER", onGpu.Matrices!.Sentence, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Several_threads_take_turns()
    {
        using var decomposer = Open(leastRows: 1);
        var matrix = Matrix(100, 130, Kind.Random);
        var values = ThinSvd.Of(Clone(matrix), Loop).Values;
        Parallel.For(0, 8, _ =>
        {
            var got = decomposer.Decompose(Clone(matrix), Loop).Values;
            for (var k = 0; k < values.Length; k++)
                Assert.Equal(values[k], got[k], 1e-12 * values[0]);
        });
    }

    private static CudaDecomposer Open(int leastRows)
    {
        var (usable, reasons) = CudaDevice.Discover();
        Assert.SkipWhen(usable.Count == 0, "not run, there is no usable GPU: " + string.Join("; ", reasons));
        Assert.SkipUnless(CudaLibraries.IsPresent(CudaLibraries.Cusolver), "not run, cuSOLVER cannot be loaded");
        return new CudaDecomposer(usable[0].Index) { LeastRows = leastRows };
    }

    private static double[][] Matrix(int rows, int columns, Kind kind)
    {
        var rank = kind == Kind.RankDeficient ? rows / 3 : rows;
        if (kind == Kind.Zero)
            return [.. Enumerable.Range(0, rows).Select(_ => new double[columns])];
        if (kind == Kind.Random)
            return Rows(rows, columns, 1);
        var (left, right) = (ThinSvd.Of(Rows(rows, rows, 2), Loop), ThinSvd.Of(Rows(rows, columns, 3), Loop));
        var values = Enumerable.Range(0, rows).Select(k => k >= rank ? 0 : kind switch
        {
            Kind.Graded => Math.Pow(10, -6.0 * k / rows),
            Kind.Repeated => 1 + k / 40,
            _ => 1.0 + k,
        }).ToArray();
        var result = new double[rows][];
        ThinSvd.Compose(left.Left, values, right.Right, rows, Loop, (i, row) => result[i] = row);
        return result;
    }

    private static double[][] Rows(int rows, int columns, ulong seed)
    {
        var values = Gpu.Random(rows * columns, seed);
        return [.. Enumerable.Range(0, rows).Select(i => Array.ConvertAll(values[(i * columns)..((i + 1) * columns)], value => (double)value))];
    }

    private static double[][] Product(ThinSvd svd, double[] values, int rows, int columns)
    {
        var result = Enumerable.Range(0, rows).Select(_ => new double[columns]).ToArray();
        if (values.Length > 0)
            ThinSvd.Compose(svd.Left, values, svd.Right, rows, Loop, (i, row) => result[i] = row);
        return result;
    }

    private static void Near(double[][] wanted, double[][] got, double tolerance)
    {
        for (var i = 0; i < wanted.Length; i++)
            for (var j = 0; j < wanted[i].Length; j++)
                Assert.Equal(wanted[i][j], got[i][j], tolerance);
    }

    private static double[][] Clone(double[][] matrix) => [.. matrix.Select(row => (double[])row.Clone())];

    private static float[] Floats(byte[] bytes) => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes).ToArray();
}
