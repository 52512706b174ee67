using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Mixtures of experts: router, rows sorted by expert, experts on their rows, weighted sums in fixed order. Three schedules: a product
/// that reads each expert's weights once for few tokens, one grouped product for many, and, where neither can be had, expert after expert.</summary>
internal sealed class CudaMoe(CudaContext cuda, CudaLinear linear, CudaWeights vectors) : IDisposable
{
    private readonly CudaBuffer _logits = new(cuda), _experts = new(cuda), _shares = new(cuda), _ends = new(cuda), _places = new(cuda), _scratch = new(cuda);
    private readonly CudaBuffer _gathered = new(cuda), _wide = new(cuda), _inner = new(cuda), _outputs = new(cuda);

    /// <summary>Whether a pass over some tokens never waits for the host.</summary>
    public static bool IsOnDevice(CudaDevice device, MoeSpec spec, int hidden, CudaType type, int tokens) =>
        type == CudaType.BFloat16 && (Few(device, spec, hidden, tokens) || Grouped(device, spec, hidden));

    /// <summary>output += the weighted outputs of each token's experts.</summary>
    public void Run(MoeWeights weights, CudaBuffer x, CudaBuffer output, RouterChoice? choice)
    {
        var (routing, tokens, rows) = (weights.Routing, x.Rows, x.Rows * weights.Routing.TopK);
        linear.Project((CudaMatrix)weights.Router, x, _logits, accumulate: false);
        var operands = new RoutingOperands(
            _experts.Resize(tokens, routing.TopK, CudaType.Float32), _shares.Resize(tokens, routing.TopK, CudaType.Float32), _ends.Resize(1, routing.Experts, CudaType.Float32),
            _places.Resize(tokens, routing.TopK, CudaType.Float32), _scratch.Resize(1, Math.Max(1, Routing.ScratchBytes(routing, tokens) / sizeof(int)), CudaType.Float32));
        Routing.Route(cuda, routing, tokens, _logits.Pointer, vectors.Vector(weights.Correction), operands);
        if (choice is not null)
            Report(choice, routing.TopK, rows);
        Routing.Place(cuda, routing, tokens, operands);
        var gathered = _gathered.Resize(rows, x.Columns, linear.Type);
        Routing.Permute(cuda, routing, tokens, x.Columns, linear.Operand(x), operands.Rows, gathered, linear.Type);
        Visit(weights.Experts, rows, tokens, x.Columns);
        Routing.Unpermute(cuda, routing, tokens, x.Columns, _outputs.Pointer, _outputs.Type, operands, output.Pointer, CudaType.Float32, accumulate: true);
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _logits, _experts, _shares, _ends, _places, _scratch, _gathered, _wide, _inner, _outputs })
            buffer.Dispose();
    }

    private static bool Few(CudaDevice device, MoeSpec spec, int hidden, int tokens) =>
        SkinnyProduct.SupportsExperts(device, new SkinnyForm(tokens, 2 * spec.Intermediate, hidden, CudaType.BFloat16, GateKind.Interleaved), spec.Routing.Experts)
        && SkinnyProduct.SupportsExperts(device, new SkinnyForm(tokens, hidden, spec.Intermediate, CudaType.BFloat16), spec.Routing.Experts);

    private static bool Grouped(CudaDevice device, MoeSpec spec, int hidden) =>
        GroupedProduct.Supports(device, new GroupedForm(2 * spec.Intermediate, hidden, spec.Routing.Experts, Gated: true))
        && GroupedProduct.Supports(device, new GroupedForm(hidden, spec.Intermediate, spec.Routing.Experts));

    /// <summary>Every expert on its rows.</summary>
    private void Visit(IReadOnlyList<MlpWeights> experts, int rows, int tokens, int hidden)
    {
        var first = experts[0];
        var (input, down) = ((CudaMatrix)first.Input, (CudaMatrix)first.Down);
        var gate = input.IsInterleaved ? GateKind.Interleaved : first.Gate;
        if (gate == GateKind.None)
            throw new CudaException("experts without a gate are not computed on the GPU");
        var few = new SkinnyForm(Math.Max(1, tokens), input.Rows, hidden, linear.Type, gate, first.Activation, first.ClampedLimit);
        var fewDown = new SkinnyForm(Math.Max(1, tokens), hidden, first.Intermediate, CudaType.Float32);
        var many = new GroupedForm(input.Rows, hidden, experts.Count, true, first.Activation, first.ClampedLimit, input.Bias != 0);
        var manyDown = new GroupedForm(hidden, first.Intermediate, experts.Count, Biased: down.Bias != 0);
        var isBf16 = linear.Type == CudaType.BFloat16;
        if (isBf16 && SkinnyProduct.SupportsExperts(cuda.Device, few, experts.Count) && SkinnyProduct.SupportsExperts(cuda.Device, fewDown, experts.Count))
        {
            SkinnyProduct.LaunchExperts(
                cuda, few, new SkinnyOperands(_gathered.Pointer, input.Weights, _inner.Resize(rows, first.Intermediate, linear.Type), input.Bias), _ends.Pointer, experts.Count);
            SkinnyProduct.LaunchExperts(
                cuda, fewDown, new SkinnyOperands(_inner.Pointer, down.Weights, _outputs.Resize(rows, hidden, CudaType.Float32), down.Bias), _ends.Pointer, experts.Count);
        }
        else if (isBf16 && gate == GateKind.Interleaved && GroupedProduct.Supports(cuda.Device, many) && GroupedProduct.Supports(cuda.Device, manyDown))
        {
            GroupedProduct.Launch(
                cuda, many, null, rows, new GroupedOperands(_gathered.Pointer, input.Weights, _inner.Resize(rows, first.Intermediate, linear.Type), _ends.Pointer, input.Bias));
            GroupedProduct.Launch(
                cuda, manyDown, null, rows, new GroupedOperands(_inner.Pointer, down.Weights, _outputs.Resize(rows, hidden, linear.Type), _ends.Pointer, down.Bias));
        }
        else
        {
            OneByOne(experts, gate, rows, hidden);
        }
    }

    private void OneByOne(IReadOnlyList<MlpWeights> experts, GateKind gate, int rows, int hidden)
    {
        var (first, size) = (experts[0], linear.Type.Size());
        var ends = new int[experts.Count];
        cuda.Stream.Download<int>(_ends.Pointer, ends);
        var wide = _wide.Resize(rows, 2L * first.Intermediate, linear.Type);
        var inner = _inner.Resize(rows, first.Intermediate, linear.Type);
        var outputs = _outputs.Resize(rows, hidden, CudaType.Float32);
        for (var expert = 0; expert < ends.Length; expert++)
        {
            var (weights, start) = (experts[expert], expert == 0 ? 0 : ends[expert - 1]);
            var (input, down, count) = ((CudaMatrix)weights.Input, (CudaMatrix)weights.Down, ends[expert] - start);
            if (count == 0)
                continue;
            var (x, between) = (At(_gathered.Pointer, start, hidden * size), At(inner, start, first.Intermediate * size));
            linear.Multiply(input.Weights, x, wide, count, input.Rows, input.Columns, linear.Type, accumulate: false);
            Elementwise.Gate(cuda, first.Activation, gate, first.ClampedLimit, wide, input.Bias, between, count, first.Intermediate, linear.Type);
            linear.Multiply(down.Weights, between, At(outputs, start, hidden * sizeof(float)), count, down.Rows, down.Columns, CudaType.Float32, accumulate: false, down.Bias);
        }
    }

    private static nint At(nint start, int row, int bytes) => start + (nint)((long)row * bytes);

    private void Report(RouterChoice choice, int topK, int rows)
    {
        var (experts, shares) = (new int[rows], new float[rows]);
        cuda.Stream.Download<int>(_experts.Pointer, experts);
        cuda.Stream.Download<float>(_shares.Pointer, shares);
        choice.Set(topK, experts, shares);
    }
}
