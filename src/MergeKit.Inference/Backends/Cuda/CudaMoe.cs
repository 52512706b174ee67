using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Mixtures of experts: router, experts on the rows that chose them, weighted sum in fixed order.</summary>
internal sealed class CudaMoe(CudaContext cuda, CudaLinear linear, CudaWeights vectors) : IDisposable
{
    private readonly CudaBuffer _logits = new(cuda), _experts = new(cuda), _shares = new(cuda), _rows = new(cuda), _places = new(cuda), _owners = new(cuda);
    private readonly CudaBuffer _gathered = new(cuda), _wide = new(cuda), _inner = new(cuda), _outputs = new(cuda);

    /// <summary>output += the weighted outputs of each token's experts.</summary>
    public void Run(MoeWeights weights, CudaBuffer x, CudaBuffer output, RouterChoice? choice)
    {
        var (routing, tokens) = (weights.Routing, x.Rows);
        linear.Project((CudaMatrix)weights.Router, x, _logits, accumulate: false);
        var (experts, shares) = (_experts.Resize(tokens, routing.TopK, CudaType.Float32), _shares.Resize(tokens, routing.TopK, CudaType.Float32));
        MoeRoute.Launch(cuda, routing, _logits.Pointer, vectors.Vector(weights.Correction), experts, shares, tokens);
        var chosen = new int[tokens * routing.TopK];
        cuda.Stream.Download<int>(experts, chosen);
        if (choice is not null)
            Report(choice, routing.TopK, chosen);
        var starts = Sort(chosen, routing.Experts, routing.TopK);
        Visit(weights.Experts, x, starts, chosen.Length);
        MoeCombine.Launch(cuda, CudaType.Float32, tokens, routing.TopK, new MoeCombine.Parameters
        {
            X = _outputs.Pointer,
            Places = _places.Pointer,
            Experts = experts,
            Weights = shares,
            Bias = ((CudaMatrix)weights.Experts[0].Down).Bias,
            Y = output.Pointer,
            Width = output.Columns,
        });
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _logits, _experts, _shares, _rows, _places, _owners, _gathered, _wide, _inner, _outputs })
            buffer.Dispose();
    }

    /// <summary>Sends the order of rows by expert; gives the first row of each expert, and the end.</summary>
    private int[] Sort(int[] chosen, int experts, int topK)
    {
        var starts = new int[experts + 1];
        foreach (var expert in chosen)
            starts[expert + 1]++;
        for (var expert = 0; expert < experts; expert++)
            starts[expert + 1] += starts[expert];
        var next = starts[..experts];
        var (rows, places, owners) = (new int[chosen.Length], new int[chosen.Length], new int[chosen.Length]);
        for (var place = 0; place < chosen.Length; place++)
        {
            var row = next[chosen[place]]++;
            (rows[row], places[place], owners[row]) = (place / topK, row, chosen[place]);
        }

        _rows.Fill<int>(rows);
        _places.Fill<int>(places);
        _owners.Fill<int>(owners);
        return starts;
    }

    /// <summary>Every expert on its rows.</summary>
    private void Visit(IReadOnlyList<MlpWeights> experts, CudaBuffer x, int[] starts, int rows)
    {
        var (first, size) = (experts[0], linear.Type.Size());
        var (input, down) = ((CudaMatrix)first.Input, (CudaMatrix)first.Down);
        var gathered = _gathered.Resize(rows, x.Columns, linear.Type);
        Elementwise.Gather(cuda, x.Pointer, x.Type, _rows.Pointer, gathered, linear.Type, rows, x.Columns);
        var wide = _wide.Resize(rows, input.Rows, linear.Type);
        Each(starts, (expert, row, count) => linear.Multiply(
            ((CudaMatrix)experts[expert].Input).Weights, At(gathered, row, x.Columns * size), At(wide, row, input.Rows * size), count, input.Rows, input.Columns, linear.Type, accumulate: false));
        var inner = _inner.Resize(rows, first.Intermediate, linear.Type);
        if (first.Gate == GateKind.None)
            throw new CudaException("experts without a gate are not computed on the GPU");
        Elementwise.Gate(
            cuda, first.Activation, first.Gate, first.ClampedLimit, wide, input.Bias, inner, rows, first.Intermediate, linear.Type, input.Bias == 0 ? 0 : _owners.Pointer);
        var outputs = _outputs.Resize(rows, down.Rows, CudaType.Float32);
        Each(starts, (expert, row, count) => linear.Multiply(
            ((CudaMatrix)experts[expert].Down).Weights, At(inner, row, first.Intermediate * size), At(outputs, row, down.Rows * sizeof(float)), count, down.Rows, down.Columns, CudaType.Float32, accumulate: false));
    }

    private static void Each(int[] starts, Action<int, int, int> visit)
    {
        for (var expert = 0; expert + 1 < starts.Length; expert++)
            if (starts[expert + 1] > starts[expert])
                visit(expert, starts[expert], starts[expert + 1] - starts[expert]);
    }

    private static nint At(nint start, int row, int bytes) => start + (nint)((long)row * bytes);

    private void Report(RouterChoice choice, int topK, int[] chosen)
    {
        var shares = new float[chosen.Length];
        cuda.Stream.Download<float>(_shares.Pointer, shares);
        choice.Set(topK, chosen, shares);
    }
}
