using System.Numerics.Tensors;
using System.Text.RegularExpressions;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Statistics;

/// <summary>Fills one row of a linear layer's inputs.</summary>
internal delegate void RowReader(int row, Span<float> values);

/// <summary>Adds up G = X^T X, the products of the inputs of each linear layer, in double precision; matrices that share their inputs share G.</summary>
/// <param name="names">The names of tensors by their address.</param>
/// <param name="filter">Only weights whose names this finds; null: all.</param>
internal sealed class InputProducts(IReadOnlyDictionary<nint, string> names, Regex? filter)
{
    private readonly Dictionary<IMatrix, Sums> _sums = [];
    private readonly HashSet<string> _claimed = new(StringComparer.Ordinal);

    private sealed record Sums(IReadOnlyList<string> Names, double[][] Rows)
    {
        public long Tokens { get; set; }
    }

    /// <summary>Bytes that the sums take.</summary>
    public long Bytes => _sums.Values.Sum(sums => (long)sums.Rows.Length * sums.Rows.Length * sizeof(double));

    /// <summary>A matrix whose inputs are to be recorded, made of tensors at these addresses.</summary>
    public void Expect(IMatrix matrix, IReadOnlyList<nint> addresses)
    {
        var wanted = addresses.Select(address => names.GetValueOrDefault(address)).OfType<string>()
            .Where(name => filter?.IsMatch(name) != false && name.EndsWith(".weight", StringComparison.Ordinal) && _claimed.Add(name)).ToList();
        if (wanted.Count == addresses.Count && !wanted.Exists(name => name.Contains("embed", StringComparison.Ordinal)))
            _sums[matrix] = new Sums(wanted, [.. Enumerable.Range(0, matrix.Columns).Select(_ => new double[matrix.Columns])]);
    }

    /// <summary>Adds the inputs of one batch.</summary>
    public void Add(IMatrix matrix, int tokens, RowReader read)
    {
        if (!_sums.TryGetValue(matrix, out var sums))
            return;
        var (columns, inputs) = (matrix.Columns, new double[tokens][]);
        var row = new float[columns];
        for (var token = 0; token < tokens; token++)
        {
            read(token, row);
            inputs[token] = new double[columns];
            TensorPrimitives.ConvertTruncating<float, double>(row, inputs[token]);
        }

        Parallel.For(0, columns, i =>
        {
            foreach (var input in inputs)
                TensorPrimitives.MultiplyAdd(input, input[i], sums.Rows[i], sums.Rows[i]);
        });
        sums.Tokens += tokens;
    }

    /// <summary>The means over tokens as tensors <c>NAME.gram</c> [in, in].</summary>
    public IReadOnlyList<FloatTensor> Tensors()
    {
        var seen = _sums.Values.Where(sums => sums.Tokens > 0).ToList();
        if (seen.Count == 0)
            throw new InputException("nothing was recorded: the model has no linear layers of the selected names outside its experts");
        return [.. seen.SelectMany(Tensors).OrderBy(tensor => tensor.Name, StringComparer.Ordinal)];
    }

    private static IEnumerable<FloatTensor> Tensors(Sums sums)
    {
        var values = new float[checked(sums.Rows.Length * sums.Rows.Length)];
        for (var i = 0; i < sums.Rows.Length; i++)
            for (var j = 0; j < sums.Rows.Length; j++)
                values[i * sums.Rows.Length + j] = (float)(sums.Rows[i][j] / sums.Tokens);
        return sums.Names.Select(name => new FloatTensor(name[..^".weight".Length] + ".gram", [sums.Rows.Length, sums.Rows.Length], values));
    }
}

/// <summary>Notes at which address each tensor lies.</summary>
internal sealed class NamedWeights(IWeightSource inner, Dictionary<nint, string> names) : IWeightSource
{
    public string Name => inner.Name;

    public IEnumerable<string> Names => inner.Names;

    public bool TryGet(string name, out WeightTensor tensor)
    {
        if (!inner.TryGet(name, out tensor))
            return false;
        names.TryAdd(tensor.Data, name);
        return true;
    }

    public void Dispose() => inner.Dispose();
}
