namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>Ids drawn from logits on the device, by the rule of <see cref="DrawRule"/>.</summary>
internal static class DrawRows
{
    private const int Threads = 1024;

    private static readonly KernelSpec Spec = new("DrawRows", "draw_rows", []);

    /// <summary>The variants that tests compile: the only one there is.</summary>
    public static IEnumerable<KernelSpec> Variants() => [Spec];

    /// <summary>Draws one id of each row.</summary>
    /// <param name="cuda">Where.</param>
    /// <param name="rule">The rule; its uniform number is not looked at.</param>
    /// <param name="x">Addresses and sizes.</param>
    /// <param name="rows">Rows.</param>
    public static void Launch(CudaContext cuda, in DrawRule rule, in DrawOperands x, int rows)
    {
        if (rows == 0 || x.Width == 0)
            return;
        cuda.Kernel(Spec).Launch(cuda.Stream, (rows, 1, 1), Threads, new Parameters
        {
            Logits = x.Logits,
            Bias = x.Bias,
            Uniforms = x.Uniforms,
            Ids = x.Ids,
            Width = x.Width,
            TopK = rule.TopK,
            Scale = x.Scale,
            Softcap = x.Softcap,
            PerTemperature = 1 / rule.Temperature,
            TopP = rule.TopP,
            MinP = rule.MinP,
        });
    }

    private struct Parameters
    {
        public nint Logits, Bias, Uniforms, Ids;
        public int Width, TopK;
        public float Scale, Softcap, PerTemperature, TopP, MinP;
    }
}

/// <summary>Device addresses of draws.</summary>
/// <param name="Logits">float32 [rows, width].</param>
/// <param name="Bias">float32 [width]; 0 for none.</param>
/// <param name="Uniforms">float64 [rows], at least 0 and below 1.</param>
/// <param name="Ids">Receives int32 [rows]; -1 where a row's largest logit is no finite number.</param>
/// <param name="Width">Ids.</param>
/// <param name="Scale">Factor on the logits.</param>
/// <param name="Softcap">Logits x become c tanh(x / c); 0 for none.</param>
internal readonly record struct DrawOperands(nint Logits, nint Bias, nint Uniforms, nint Ids, int Width, float Scale = 1, float Softcap = 0);
