using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A function of one value, in vectors.</summary>
internal interface IUnaryOperator
{
    /// <summary>f(x), lane by lane.</summary>
    static abstract TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct;
}

/// <summary>x sigmoid(x).</summary>
internal readonly struct SiluOperator : IUnaryOperator
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => VectorMath<TLanes, TVector>.Swish(x, TLanes.Create(1));
}

/// <summary>x sigmoid(1.702 x).</summary>
internal readonly struct QuickGeluOperator : IUnaryOperator
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => VectorMath<TLanes, TVector>.Swish(x, TLanes.Create(1.702f));
}

/// <summary>x Phi(x).</summary>
internal readonly struct GeluOperator : IUnaryOperator
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => VectorMath<TLanes, TVector>.GeluErf(x);
}

/// <summary>GELU's approximation by tanh.</summary>
internal readonly struct GeluTanhOperator : IUnaryOperator
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => VectorMath<TLanes, TVector>.GeluTanh(x);
}

/// <summary>tanh(x).</summary>
internal readonly struct TanhOperator : IUnaryOperator
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Apply<TLanes, TVector>(TVector x)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct => VectorMath<TLanes, TVector>.Tanh(x);
}
