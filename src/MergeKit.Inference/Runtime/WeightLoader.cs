using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Binds stored tensors to a network's declaration; checks every shape, copies only vectors.</summary>
internal sealed class WeightLoader
{
    private readonly IBackend _backend;
    private readonly NetworkSpec _network;
    private readonly TensorLookup _lookup;
    private readonly List<(float[] Values, Func<float[]> Read)> _vectors = [];

    private WeightLoader(IBackend backend, NetworkSpec network, TensorLookup lookup) => (_backend, _network, _lookup) = (backend, network, lookup);

    /// <summary>Binds all weights.</summary>
    /// <param name="architecture">The architecture.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="network">The network it describes.</param>
    /// <param name="source">The tensors.</param>
    /// <param name="backend">Where they will be used.</param>
    /// <param name="warnings">Receives what was odd but usable.</param>
    /// <returns>The weights, and what reads their vectors again into the same arrays when the source's memory has other contents.</returns>
    /// <exception cref="InputException">Tensors are missing or have the wrong shape or type; lists all.</exception>
    public static (NetworkWeights Weights, Action Reread) Load(
        Architecture architecture, ModelConfig config, NetworkSpec network, IWeightSource source, IBackend backend, List<Problem> warnings)
    {
        var lookup = new TensorLookup(source, architecture.Weights(config));
        var loader = new WeightLoader(backend, network, lookup);
        var weights = loader.Network();
        foreach (var name in lookup.Unused.Where(name => !architecture.IsIgnored(name)))
            if (lookup.Modified(name) is { } weight)
                lookup.Problems.Add(Problem.Error($"{source.Name}: tensor '{name}' belongs to '{weight}': quantised weights are not supported"));
            else
                warnings.Add(Problem.Warning($"{source.Name}: tensor '{name}' has no place in {architecture.Name} as configured and is not used"));
        if (lookup.Problems.Count > 0)
            throw new InputException(lookup.Problems);
        return (weights, () => loader._vectors.ForEach(vector => vector.Read().CopyTo(vector.Values.AsSpan())));
    }

    private NetworkWeights Network()
    {
        var embedding = Embedding(_network.Embedding);
        var layers = _network.Layers.Select(Layer).ToList();
        var finalNorm = Norm(_network.FinalNorm);
        return new NetworkWeights(_network, embedding, layers, finalNorm, Head(_network.Head));
    }

    private EmbeddingWeights Embedding(EmbeddingSpec spec) => new(
        spec, Table(spec.Tokens), spec.Positions is { } positions ? Table(positions) : null,
        spec.TokenTypes is { } types ? Table(types) : null, Norm(spec.Norm));

    private WeightTensor Table(TensorSpec spec)
    {
        var table = Tensor(spec);
        _backend.LoadTable(table);
        return table;
    }

    private LayerWeights Layer(LayerSpec spec) => new(
        spec, Attention(spec.Attention), spec.Mlp is { } mlp ? Mlp(mlp) : null, spec.Moe is { } moe ? Moe(moe) : null, Norm(spec.AttentionNorm),
        Norm(spec.AttentionPostNorm), Norm(spec.AttentionResidualNorm), Norm(spec.MlpNorm), Norm(spec.MlpPostNorm), Norm(spec.MlpResidualNorm));

    private AttentionWeights Attention(AttentionSpec spec) => new(
        spec, spec.Qkv.Count > 0 ? Matrix([.. spec.Qkv]) : null, spec.Latent is { } latent ? Latent(latent) : null, Matrix(spec.Output),
        Norm(spec.QueryNorm), Norm(spec.KeyNorm), spec.Sinks is { } sinks ? Vector(() => _lookup.Read(sinks.Name, sinks.Shape)) : null);

    private LatentWeights Latent(LatentSpec spec) => new(
        spec.QueryDown is { } down ? Matrix(down) : null, Norm(spec.QueryNorm), Matrix(spec.QueryUp), Matrix(spec.KeyValueDown),
        Norm(spec.KeyValueNorm)!, Matrix(spec.KeyValueUp));

    private MlpWeights Mlp(MlpSpec spec)
    {
        var gate = spec.GateUp is not null || spec.Gate is not null ? GateKind.Halves : GateKind.None;
        var input = spec.GateUp is { } fused ? Matrix(fused) : spec.Gate is { } separate ? Matrix(separate, spec.Up!) : Matrix(spec.Up!);
        return new MlpWeights(spec.Activation, gate, null, input, Matrix(spec.Down), spec.Intermediate);
    }

    private MoeWeights Moe(MoeSpec spec)
    {
        var packed = spec.Experts.Count == 0 || (!_lookup.Has(spec.Experts[0].Down.Name + ".weight") && _lookup.Has(spec.Packed.Down.Name));
        return new MoeWeights(
            spec.Routing, Matrix(spec.Router), spec.Correction is { } correction ? Vector(() => _lookup.Read(correction.Name, correction.Shape)) : null,
            packed ? Packed(spec) : Separate(spec), spec.Shared is { } shared ? Mlp(shared) : null,
            spec.SharedGate is { } gate ? Matrix(gate) : null);
    }

    private IReadOnlyList<MlpWeights> Packed(MoeSpec spec)
    {
        var packed = spec.Packed;
        var (gateUp, down) = (Tensor(packed.GateUp), Tensor(packed.Down));
        float[]? gateUpBias = packed.Biases is { } biases ? Vector(() => _lookup.Read(biases.GateUp.Name, biases.GateUp.Shape)) : null;
        float[]? downBias = packed.Biases is { } both ? Vector(() => _lookup.Read(both.Down.Name, both.Down.Shape)) : null;
        return Experts(
            spec, packed.Interleaved ? GateKind.Interleaved : GateKind.Halves,
            expert => new MatrixSource([gateUp.At(expert)], packed.StoredTransposed, Part(gateUpBias, expert, 2 * spec.Intermediate)) { Origins = [Origin(packed.GateUp, packed.Biases?.GateUp, expert)] },
            expert => new MatrixSource([down.At(expert)], packed.StoredTransposed, Part(downBias, expert, _network.HiddenSize)) { Origins = [Origin(packed.Down, packed.Biases?.Down, expert)] });
    }

    private static MatrixOrigin Origin(TensorSpec all, TensorSpec? biases, int expert) =>
        new(all.Name, expert * all.Shape.Skip(1).Aggregate(1L, (product, extent) => product * extent), biases?.Name, biases is null ? 0 : (int)(expert * biases.Shape[^1]));

    private IReadOnlyList<MlpWeights> Separate(MoeSpec spec) => Experts(
        spec, GateKind.Halves, expert => Source(spec.Experts[expert].Gate!, spec.Experts[expert].Up!), expert => Source(spec.Experts[expert].Down));

    private IReadOnlyList<MlpWeights> Experts(MoeSpec spec, GateKind gate, Func<int, MatrixSource> input, Func<int, MatrixSource> down)
    {
        var experts = Enumerable.Range(0, spec.Routing.Experts).ToList();
        var (inputs, downs) = (_backend.LoadMatrices([.. experts.Select(expert => input(expert) with { Gate = gate })]), _backend.LoadMatrices([.. experts.Select(down)]));
        return [.. experts.Select(expert => new MlpWeights(spec.Activation, gate, spec.ClampedSwigluLimit, inputs[expert], downs[expert], spec.Intermediate))];
    }

    private float[]? Part(float[]? values, int index, int size) => values is { Length: > 0 } ? Vector(() => values.AsSpan(index * size, size).ToArray()) : null;

    /// <summary>Values that can be read again.</summary>
    private float[] Vector(Func<float[]> read)
    {
        var values = read();
        _vectors.Add((values, read));
        return values;
    }

    private HeadWeights Head(HeadSpec spec)
    {
        var name = spec.Output.Name + ".weight";
        if (spec.BiasCopy is { } copy)
            _lookup.Accept(copy);
        var transform = spec.Transform is { } dense ? Matrix(dense) : null;
        if (!spec.Tied && spec.TiedTo is { } embedding && !_lookup.Has(name))
            _lookup.Problems.Add(Problem.Error(
                $"the configuration does not tie the embeddings (tie_word_embeddings), so '{embedding}' cannot stand in for '{name}'"));
        if (!spec.Tied || spec.TiedTo is null)
            return new HeadWeights(spec, Matrix(spec.Output), transform, Norm(spec.TransformNorm));
        _lookup.Accept(name);
        var bias = spec.Output.HasBias ? Vector(() => _lookup.Read(spec.Output.BiasName, spec.Output.Out)) : null;
        var table = _network.Embedding.Tokens;
        var output = _backend.LoadMatrix(new MatrixSource([Tensor(table)], spec.Output.StoredTransposed, bias)
        {
            Origins = [new MatrixOrigin(table.Name, 0, bias is null ? null : spec.Output.BiasName)],
        });
        return new HeadWeights(spec, output, transform, Norm(spec.TransformNorm));
    }

    private WeightTensor Tensor(TensorSpec spec) => _lookup.Find(spec.Name, spec.Shape);

    private IMatrix Matrix(params IReadOnlyList<LinearSpec> blocks) => _backend.LoadMatrix(Source(blocks));

    private MatrixSource Source(params IReadOnlyList<LinearSpec> blocks)
    {
        var tensors = blocks.Select(block => _lookup.Find(block.Name + ".weight", block.StoredShape)).ToList();
        var bias = blocks.Any(block => block.HasBias)
            ? Vector(() => [.. blocks.SelectMany(block => block.HasBias ? _lookup.Read(block.BiasName, block.Out) : new float[block.Out])])
            : null;
        return new MatrixSource(tensors, blocks[0].StoredTransposed, bias)
        {
            Origins = [.. blocks.Select(block => new MatrixOrigin(block.Name + ".weight", 0, block.HasBias ? block.BiasName : null))],
        };
    }

    private NormWeights? Norm(NormSpec? spec)
    {
        if (spec is null)
            return null;
        var names = spec.Parts ?? [spec.Name];
        IReadOnlyList<long> shape = spec.StoredShape ?? [spec.Size / names.Count];
        var weight = Vector(() => [.. names.SelectMany(name => _lookup.Read(name + ".weight", shape)).Select(value => value + spec.WeightOffset)]);
        var bias = spec.HasBias ? Vector(() => [.. names.SelectMany(name => _lookup.Read(name + ".bias", shape))]) : [];
        return new NormWeights(spec, weight, bias);
    }
}
