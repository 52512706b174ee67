namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>The operations of <see cref="VectorOps"/> on one <see cref="InstructionPath"/>.</summary>
internal abstract class VectorOperations
{
    /// <summary>The operations on a path.</summary>
    public static VectorOperations For(InstructionPath path) => path switch
    {
        InstructionPath.Avx512 => new VectorOperations<Lanes512, System.Runtime.Intrinsics.Vector512<float>>(),
        InstructionPath.Avx2 => new VectorOperations<Lanes256, System.Runtime.Intrinsics.Vector256<float>>(),
        _ => new VectorOperations<Lanes128, System.Runtime.Intrinsics.Vector128<float>>(),
    };

    /// <inheritdoc cref="VectorOps.RmsNorm"/>
    public abstract void RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> y);

    /// <inheritdoc cref="VectorOps.LayerNorm"/>
    public abstract void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> y);

    /// <summary>x = f(x).</summary>
    public abstract void Map(VectorFunction function, Span<float> x);

    /// <inheritdoc cref="VectorOps.Gated"/>
    public abstract void MapGated(VectorFunction function, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y);

    /// <inheritdoc cref="VectorOps.Softmax"/>
    public abstract void Softmax(Span<float> x);

    /// <inheritdoc cref="VectorOps.Accumulate"/>
    public abstract void Accumulate(ReadOnlySpan<float> logits, int first, ref LogSumExp state);
}

/// <summary>The operations for one vector width.</summary>
internal sealed unsafe class VectorOperations<TLanes, TVector> : VectorOperations
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    /// <inheritdoc/>
    public override void RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> y)
    {
        CheckLengths(x.Length, weight.Length, y.Length);
        fixed (float* px = x, pw = weight, py = y)
        {
            var scale = 1 / MathF.Sqrt((VectorLoops<TLanes, TVector>.SumOfSquares(px, x.Length, 0) / x.Length) + epsilon);
            VectorLoops<TLanes, TVector>.Normalize(px, pw, null, 0, scale, py, x.Length);
        }
    }

    /// <inheritdoc/>
    public override void LayerNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> y)
    {
        CheckLengths(x.Length, weight.Length, y.Length);
        if (!bias.IsEmpty)
            CheckLengths(x.Length, bias.Length, y.Length);
        fixed (float* px = x, pw = weight, pb = bias, py = y)
        {
            var mean = VectorLoops<TLanes, TVector>.Sum(px, x.Length) / x.Length;
            var scale = 1 / MathF.Sqrt((VectorLoops<TLanes, TVector>.SumOfSquares(px, x.Length, mean) / x.Length) + epsilon);
            VectorLoops<TLanes, TVector>.Normalize(px, pw, bias.IsEmpty ? null : pb, mean, scale, py, x.Length);
        }
    }

    /// <inheritdoc/>
    public override void Map(VectorFunction function, Span<float> x)
    {
        fixed (float* px = x)
        {
            switch (function)
            {
                case VectorFunction.Silu:
                    VectorLoops<TLanes, TVector>.Map<SiluOperator>(px, x.Length);
                    break;
                case VectorFunction.QuickGelu:
                    VectorLoops<TLanes, TVector>.Map<QuickGeluOperator>(px, x.Length);
                    break;
                case VectorFunction.Gelu:
                    VectorLoops<TLanes, TVector>.Map<GeluOperator>(px, x.Length);
                    break;
                case VectorFunction.GeluTanh:
                    VectorLoops<TLanes, TVector>.Map<GeluTanhOperator>(px, x.Length);
                    break;
                case VectorFunction.Tanh:
                    VectorLoops<TLanes, TVector>.Map<TanhOperator>(px, x.Length);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(function), function, null);
            }
        }
    }

    /// <inheritdoc/>
    public override void MapGated(VectorFunction function, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> y)
    {
        CheckLengths(gate.Length, up.Length, y.Length);
        fixed (float* pg = gate, pu = up, py = y)
        {
            switch (function)
            {
                case VectorFunction.Silu:
                    VectorLoops<TLanes, TVector>.MapGated<SiluOperator>(pg, pu, py, gate.Length);
                    break;
                case VectorFunction.QuickGelu:
                    VectorLoops<TLanes, TVector>.MapGated<QuickGeluOperator>(pg, pu, py, gate.Length);
                    break;
                case VectorFunction.Gelu:
                    VectorLoops<TLanes, TVector>.MapGated<GeluOperator>(pg, pu, py, gate.Length);
                    break;
                case VectorFunction.GeluTanh:
                    VectorLoops<TLanes, TVector>.MapGated<GeluTanhOperator>(pg, pu, py, gate.Length);
                    break;
                case VectorFunction.Tanh:
                    VectorLoops<TLanes, TVector>.MapGated<TanhOperator>(pg, pu, py, gate.Length);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(function), function, null);
            }
        }
    }

    /// <inheritdoc/>
    public override void Softmax(Span<float> x)
    {
        fixed (float* px = x)
        {
            var maximum = VectorLoops<TLanes, TVector>.Max(px, x.Length);
            if (float.IsNegativeInfinity(maximum))
            {
                x.Clear();
                return;
            }

            var sum = VectorLoops<TLanes, TVector>.SumOfExponentials(px, x.Length, maximum, px);
            VectorLoops<TLanes, TVector>.Scale(px, x.Length, 1 / sum);
        }
    }

    /// <inheritdoc/>
    public override void Accumulate(ReadOnlySpan<float> logits, int first, ref LogSumExp state)
    {
        fixed (float* px = logits)
        {
            var maximum = VectorLoops<TLanes, TVector>.Max(px, logits.Length);
            if (maximum > state.Maximum)
            {
                state.Sum *= Math.Exp((double)state.Maximum - maximum);
                state.Maximum = maximum;
                state.ArgMax = first + logits.IndexOf(maximum);
            }

            if (state.ArgMax >= 0)
                state.Sum += VectorLoops<TLanes, TVector>.SumOfExponentials(px, logits.Length, state.Maximum, null);
        }
    }

    private static void CheckLengths(int x, int other, int y)
    {
        if (other != x || y != x)
            throw new ArgumentException($"vectors of {x}, {other} and {y} elements; they must be equally long");
    }
}
