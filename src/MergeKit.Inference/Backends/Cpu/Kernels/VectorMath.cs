using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Elementary functions of vectors, to a few units in the last place of float32. The polynomials are minimax fits (Chebyshev interpolation in 40 digits):
/// e^r on |r| up to ln(2)/2, ln(erfc(z)/t) + z^2 over t = 1/(1 + z/2), tanh(u)/u over u^2 up to 0.37.
/// </summary>
internal static class VectorMath<TLanes, TVector>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>e^x; zero below -87, infinity above 88.73, NaN for NaN.</summary>
    [MethodImpl(Inline)]
    public static TVector Exp(TVector x)
    {
        const float lowest = -87f, highest = 89f, log2E = 1.44269504f, ln2High = 0.693359375f, ln2Low = -2.12194440e-4f;
        var clamped = TLanes.Max(TLanes.Create(lowest), TLanes.Min(TLanes.Create(highest), x));
        var n = TLanes.Round(TLanes.Multiply(clamped, TLanes.Create(log2E)));
        var r = TLanes.MultiplyAdd(n, TLanes.Create(-ln2High), clamped);
        r = TLanes.MultiplyAdd(n, TLanes.Create(-ln2Low), r);
        var p = TLanes.Create(0.001392625083f);
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(0.008363232884f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(0.04166655421f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(0.1666657667f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(0.5f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(1f));
        p = TLanes.MultiplyAdd(p, r, TLanes.Create(1f));
        return TLanes.SelectLess(x, TLanes.Create(lowest), TLanes.Create(0), TLanes.Scale(p, n));
    }

    /// <summary>tanh(x) = (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x, and a polynomial near zero.</summary>
    [MethodImpl(Inline)]
    public static TVector Tanh(TVector x)
    {
        var square = TLanes.Multiply(x, x);
        var p = TLanes.Create(-0.005785900016f);
        p = TLanes.MultiplyAdd(p, square, TLanes.Create(0.02069880053f));
        p = TLanes.MultiplyAdd(p, square, TLanes.Create(-0.05375299328f));
        p = TLanes.MultiplyAdd(p, square, TLanes.Create(0.1333150757f));
        p = TLanes.MultiplyAdd(p, square, TLanes.Create(-0.3333327605f));
        p = TLanes.MultiplyAdd(p, square, TLanes.Create(1f));
        var magnitude = TLanes.Abs(x);
        var decay = Exp(TLanes.Multiply(magnitude, TLanes.Create(-2f)));
        var one = TLanes.Create(1f);
        var far = TLanes.Divide(TLanes.Subtract(one, decay), TLanes.Add(one, decay));
        var signed = TLanes.SelectLess(x, TLanes.Create(0), TLanes.Subtract(TLanes.Create(0), far), far);
        return TLanes.SelectLess(magnitude, TLanes.Create(0.6f), TLanes.Multiply(x, p), signed);
    }

    /// <summary>x / (1 + e^(-alpha x)): SiLU for alpha = 1.</summary>
    [MethodImpl(Inline)]
    public static TVector Swish(TVector x, TVector alpha) =>
        TLanes.Divide(x, TLanes.Add(TLanes.Create(1f), Exp(TLanes.Subtract(TLanes.Create(0), TLanes.Multiply(alpha, x)))));

    /// <summary>GELU by tanh: x / (1 + e^(-2 sqrt(2/pi) (x + 0.044715 x^3))).</summary>
    [MethodImpl(Inline)]
    public static TVector GeluTanh(TVector x)
    {
        const float twiceRoot = 1.59576912f, cubic = 0.044715f * twiceRoot;
        var inner = TLanes.MultiplyAdd(TLanes.Multiply(x, x), TLanes.Create(-cubic), TLanes.Create(-twiceRoot));
        return TLanes.Divide(x, TLanes.Add(TLanes.Create(1f), Exp(TLanes.Multiply(x, inner))));
    }

    /// <summary>GELU: x Phi(x), Phi the normal distribution function, by erfc(z) = t e^(-z^2 + P(t)), z = |x| / sqrt(2), t = 1 / (1 + z/2).</summary>
    [MethodImpl(Inline)]
    public static TVector GeluErf(TVector x)
    {
        var one = TLanes.Create(1f);
        var z = TLanes.Min(TLanes.Create(10f), TLanes.Multiply(TLanes.Abs(x), TLanes.Create(0.707106781f)));
        var t = TLanes.Divide(one, TLanes.MultiplyAdd(z, TLanes.Create(0.5f), one));
        var p = TLanes.Create(0.148046054f);
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(-0.6975365907f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(1.195327675f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(-0.7464698947f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(-0.03986631755f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(-0.0195080035f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(0.04139596419f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(0.3852836336f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(0.9987824596f));
        p = TLanes.MultiplyAdd(p, t, TLanes.Create(-1.26545493f));
        var exponent = TLanes.Subtract(p, TLanes.Multiply(z, z));
        var tail = TLanes.Multiply(TLanes.Multiply(TLanes.Create(0.5f), t), Exp(exponent));
        return TLanes.Multiply(x, TLanes.SelectLess(x, TLanes.Create(0), tail, TLanes.Subtract(one, tail)));
    }
}
