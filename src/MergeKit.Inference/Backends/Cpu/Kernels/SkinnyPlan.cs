using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Computes some rows of a product. x is <see cref="ProductArguments.X"/> in the order of the decoder.</summary>
internal unsafe delegate void SkinnyUnit(in ProductArguments product, float* x, int row, int rows);

/// <summary>The rows of all matrices of a loop in units, dealt out to the workers in runs of neighbours. The object is used again from product to product.</summary>
internal sealed unsafe class SkinnyPlan
{
    private readonly PaddedCounter[] _next;
    private readonly long[] _end;
    private ProductArguments[] _products = new ProductArguments[4];
    private int[] _firstUnit = new int[5];
    private int _count, _rowsPerUnit, _shares;
    private float* _x;
    private SkinnyUnit? _run;

    /// <summary>A plan for so many workers at most.</summary>
    public SkinnyPlan(int threads)
    {
        (_next, _end) = (new PaddedCounter[threads], new long[threads]);
        Body = Work;
    }

    /// <summary>What each worker of the loop does: its own share, then what is left of the others'.</summary>
    public Action<int, int> Body { get; }

    /// <summary>Deals out the rows of the products.</summary>
    public void Begin(ReadOnlySpan<ProductArguments> products, int rowsPerUnit, int shares, float* x, SkinnyUnit run)
    {
        if (products.Length > _products.Length)
            (_products, _firstUnit) = (new ProductArguments[products.Length], new int[products.Length + 1]);
        products.CopyTo(_products);
        (_count, _rowsPerUnit, _shares, _run) = (products.Length, rowsPerUnit, shares, run);
        _x = x;
        for (var i = 0; i < _count; i++)
            _firstUnit[i + 1] = _firstUnit[i] + ((products[i].Weights.Rows + rowsPerUnit - 1) / rowsPerUnit);
        for (var share = 0; share < shares; share++)
            (_next[share].Value, _end[share]) = ((long)_firstUnit[_count] * share / shares, (long)_firstUnit[_count] * (share + 1) / shares);
    }

    /// <summary>The bytes of weights with which each share begins, to the end of their matrix. To be asked for before the loop.</summary>
    public (nint Address, long Bytes)[] Starts()
    {
        var starts = new (nint, long)[_shares];
        for (var share = 0; share < starts.Length; share++)
        {
            if (_next[share].Value >= _end[share])
                continue;
            var (index, row) = Place(_next[share].Value);
            ref readonly var product = ref _products[index];
            var stride = product.Weights.RowStrideElements * product.Weights.Type.Size();
            var units = Math.Min(_end[share], _firstUnit[index + 1]) - _next[share].Value;
            starts[share] = ((nint)product.Weight(row, 0), Math.Min(units * _rowsPerUnit, product.Weights.Rows - row) * stride);
        }

        return starts;
    }

    private void Work(int index, int worker)
    {
        var run = _run!;
        var x = _x;
        for (var turn = 0; turn < _shares; turn++)
        {
            var share = (worker + turn) % _shares;
            while (Volatile.Read(ref _next[share].Value) < _end[share])
            {
                var unit = Interlocked.Increment(ref _next[share].Value) - 1;
                if (unit >= _end[share])
                    break;
                var (product, row) = Place(unit);
                run(_products[product], x, row, Math.Min(_rowsPerUnit, _products[product].Weights.Rows - row));
            }
        }
    }

    private (int Product, int Row) Place(long unit)
    {
        var product = 0;
        while (unit >= _firstUnit[product + 1])
            product++;
        return (product, ((int)unit - _firstUnit[product]) * _rowsPerUnit);
    }
}
