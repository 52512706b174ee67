using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The rows of the matrices of a <see cref="SkinnyProduct{TLanes, TVector, TDecoder}"/> in units, dealt out to the workers in runs of
/// neighbours. Used again for every product.
/// </summary>
internal sealed unsafe class SkinnyUnits
{
    private ProductArguments[] _products = [];
    private int[] _firstUnit = [0];
    private PaddedCounter[] _next = [];
    private long[] _end = [];
    private (nint Address, long Bytes)[] _starts = [];
    private int _rowsPerUnit;

    /// <summary>Runs of units, one per worker.</summary>
    public int Shares => _end.Length;

    /// <summary>The bytes of weights with which each share begins, to the end of their matrix.</summary>
    public ReadOnlySpan<(nint Address, long Bytes)> Starts => _starts;

    /// <summary>One of the products.</summary>
    public ref readonly ProductArguments Product(int index) => ref _products[index];

    /// <summary>Divides the rows of the products. Not to be called while workers take units.</summary>
    public void Deal(ReadOnlySpan<ProductArguments> products, int rowsPerUnit, int shares)
    {
        if (_products.Length < products.Length)
            (_products, _firstUnit) = (new ProductArguments[products.Length], new int[products.Length + 1]);
        if (_end.Length != shares)
            (_next, _end, _starts) = (new PaddedCounter[shares], new long[shares], new (nint, long)[shares]);
        products.CopyTo(_products);
        _rowsPerUnit = rowsPerUnit;
        for (var i = 0; i < products.Length; i++)
            _firstUnit[i + 1] = _firstUnit[i] + ((products[i].Weights.Rows + rowsPerUnit - 1) / rowsPerUnit);
        long units = _firstUnit[products.Length];
        for (var share = 0; share < shares; share++)
        {
            (_next[share].Value, _end[share]) = (units * share / shares, units * (share + 1) / shares);
            _starts[share] = Start(_next[share].Value, _end[share]);
        }
    }

    /// <summary>Takes the next unit of a share, if there is one left.</summary>
    public bool TryTake(int share, out int product, out int row, out int rows)
    {
        (product, row, rows) = (0, 0, 0);
        if (Volatile.Read(ref _next[share].Value) >= _end[share])
            return false;
        var unit = Interlocked.Increment(ref _next[share].Value) - 1;
        if (unit >= _end[share])
            return false;
        (product, row) = Place(unit);
        rows = Math.Min(_rowsPerUnit, _products[product].Weights.Rows - row);
        return true;
    }

    private (nint Address, long Bytes) Start(long unit, long end)
    {
        if (unit >= end)
            return default;
        var (product, row) = Place(unit);
        ref readonly var first = ref _products[product];
        var rows = Math.Min((Math.Min(end, _firstUnit[product + 1]) - unit) * _rowsPerUnit, first.Weights.Rows - row);
        return ((nint)first.Weight(row, 0), rows * first.Weights.RowStrideElements * first.Weights.Type.Size());
    }

    private (int Product, int Row) Place(long unit)
    {
        var product = 0;
        while (unit >= _firstUnit[product + 1])
            product++;
        return (product, ((int)unit - _firstUnit[product]) * _rowsPerUnit);
    }
}
