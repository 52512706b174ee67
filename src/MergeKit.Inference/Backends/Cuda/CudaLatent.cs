using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The projections of latent attention (DeepSeek-V2, arXiv 2405.04434), expanded to plain heads.</summary>
internal sealed class CudaLatent(CudaContext cuda, CudaLinear linear, CudaWeights vectors) : IDisposable
{
    private readonly CudaBuffer _down = new(cuda), _normed = new(cuda), _queries = new(cuda), _low = new(cuda), _latent = new(cuda), _expanded = new(cuda);

    /// <summary>Queries [tokens, heads, head], the low-rank projection and keys and values [tokens, heads, own], all float32; see <see cref="LatentPrepare"/>.</summary>
    public LatentPrepare.Parameters Project(AttentionWeights weights, CudaBuffer x)
    {
        var (latent, form, tokens) = (weights.Latent!, weights.Spec.Latent!, x.Rows);
        linear.Project((CudaMatrix)latent.QueryUp, Queries(latent, x), _queries, accumulate: false);
        linear.Project((CudaMatrix)latent.KeyValueDown, x, _low, accumulate: false);
        if (latent.KeyValueNorm.Spec.Kind != NormKind.Rms || latent.KeyValueNorm.Bias.Length > 0)
            throw new CudaException($"{latent.KeyValueNorm.Spec.Name}: only an RMS norm without bias is computed here on the GPU");
        var parameters = new LatentPrepare.Parameters
        {
            Low = _low.Pointer,
            Weight = vectors.Vector(latent.KeyValueNorm.Weight),
            Latent = _latent.Resize(tokens, form.Rank, linear.Type),
            Epsilon = (float)latent.KeyValueNorm.Spec.Epsilon,
        };
        LatentPrepare.Norm(cuda, weights.Spec, linear.Type, tokens, parameters);
        linear.Project((CudaMatrix)latent.KeyValueUp, _latent, _expanded, accumulate: false);
        return parameters with { Projected = _queries.Pointer, Expanded = _expanded.Pointer };
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _down, _normed, _queries, _low, _latent, _expanded })
            buffer.Dispose();
    }

    private CudaBuffer Queries(LatentWeights latent, CudaBuffer x)
    {
        if (latent.QueryDown is not CudaMatrix down)
            return x;
        linear.Project(down, x, _down, accumulate: false);
        var norm = latent.QueryNorm!;
        var target = _normed.Resize(x.Rows, down.Rows, linear.Type);
        Norm.Launch(
            cuda, norm.Spec, vectors.Vector(norm.Weight), vectors.Vector(norm.Bias), x.Rows, down.Rows, _down.Pointer, 0, target, linear.Type);
        return _normed;
    }
}
