using MergeKit.Inference.Backends;

namespace MergeKit.Inference;

/// <summary>What a caller may look at during a pass.</summary>
public interface IForwardObserver
{
    /// <summary>The residual stream that enters a layer.</summary>
    void BeforeLayer(int layer, IBuffer hidden)
    {
    }

    /// <summary>What a layer's feed-forward block (or router) reads.</summary>
    void BeforeFeedForward(int layer, IBuffer input)
    {
    }

    /// <summary>The residual stream after a layer.</summary>
    void AfterLayer(int layer, IBuffer hidden);

    /// <summary>Where the choice of experts in a layer is to be recorded; null for nowhere.</summary>
    RouterChoice? RouterOf(int layer);
}

/// <summary>The forward pass: walks a network's declaration and calls the backend. One pass at a time.</summary>
public sealed class Transformer : IDisposable
{
    private readonly IBackend _backend;
    private NetworkWeights _weights;
    private readonly IBuffer _hidden, _normed, _mlpNormed, _queries, _attended, _delta;

    /// <summary>A pass over <paramref name="weights"/>, which belong to <paramref name="backend"/>.</summary>
    public Transformer(IBackend backend, NetworkWeights weights)
    {
        (_backend, _weights) = (backend, weights);
        (_hidden, _normed, _mlpNormed) = (backend.CreateBuffer(), backend.CreateBuffer(), backend.CreateBuffer());
        (_queries, _attended, _delta) = (backend.CreateBuffer(), backend.CreateBuffer(), backend.CreateBuffer());
    }

    /// <summary>Takes other weights of the same network; buffers stay. Not during a pass.</summary>
    internal void Rebind(NetworkWeights weights) => _weights = weights;

    /// <summary>Feeds a batch. The result, [tokens, hidden] ready for the output matrix, is valid until the next pass.</summary>
    public IBuffer Forward(ForwardBatch batch, IForwardObserver? observer = null)
    {
        _backend.Extend(batch);
        _backend.Embed(_weights.Embedding, batch, _hidden);
        for (var layer = 0; layer < _weights.Layers.Count; layer++)
        {
            observer?.BeforeLayer(layer, _hidden);
            Layer(_weights.Layers[layer], layer, batch, observer);
            observer?.AfterLayer(layer, _hidden);
        }

        return Finish();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var buffer in new[] { _hidden, _normed, _mlpNormed, _queries, _attended, _delta })
            buffer.Dispose();
    }

    private void Layer(LayerWeights layer, int index, ForwardBatch batch, IForwardObserver? observer)
    {
        var parallel = layer.Spec.Parallel;
        var input = Normed(layer.AttentionNorm, _normed);
        _backend.ProjectQkv(layer.Attention, index, input, batch, _queries);
        _backend.Attend(layer.Attention, index, _queries, batch, _attended);
        var mlpInput = parallel ? layer.MlpNorm is null ? input : Normed(layer.MlpNorm, _mlpNormed) : null;
        Sublayer(layer.AttentionPostNorm, layer.AttentionResidualNorm, (output, accumulate) =>
            _backend.Project(layer.Attention.Output, _attended, output, accumulate));
        mlpInput ??= Normed(layer.MlpNorm, _mlpNormed);
        observer?.BeforeFeedForward(index, mlpInput);
        Sublayer(layer.MlpPostNorm, layer.MlpResidualNorm, (output, accumulate) =>
        {
            if (layer.Moe is { } moe)
                _backend.Moe(moe, mlpInput, output, accumulate, observer?.RouterOf(index));
            else
                _backend.Mlp(layer.Mlp!, mlpInput, output, accumulate);
        });
    }

    /// <summary>h += post(f), then h = residual(h) where set.</summary>
    private void Sublayer(NormWeights? post, NormWeights? residual, Action<IBuffer, bool> compute)
    {
        if (post is null)
        {
            compute(_hidden, true);
        }
        else
        {
            compute(_delta, false);
            _backend.AddNorm(_delta, null, post, _delta);
            _backend.Add(_hidden, _delta);
        }

        if (residual is not null)
            _backend.AddNorm(_hidden, null, residual, _hidden);
    }

    private IBuffer Normed(NormWeights? norm, IBuffer output)
    {
        if (norm is null)
            return _hidden;
        _backend.AddNorm(_hidden, null, norm, output);
        return output;
    }

    private IBuffer Finish()
    {
        var output = Normed(_weights.FinalNorm, _normed);
        if (_weights.Head.Transform is not { } transform)
            return output;
        _backend.Project(transform, output, _delta, accumulate: false);
        _backend.Activate(_weights.Head.Spec.TransformActivation, _delta);
        if (_weights.Head.TransformNorm is { } norm)
            _backend.AddNorm(_delta, null, norm, _delta);
        return _delta;
    }
}
