namespace MergeKit.Core.Architectures;

/// <summary>Lists the tensors of a network in canonical order.</summary>
internal static class WeightEnumerator
{
    public static IEnumerable<WeightSpec> Enumerate(NetworkSpec network)
    {
        var layers = network.Layers.SelectMany((layer, index) => Layer(layer).Select(weight => weight with { Layer = index }));
        var body = Embedding(network.Embedding).Concat(layers);
        if (network.FinalNorm is { } norm)
            body = body.Concat(Norm(norm));
        return body.Select(weight => WithPrefixAlias(weight, network.OptionalPrefix)).Concat(Head(network.Head));
    }

    private static WeightSpec WithPrefixAlias(WeightSpec weight, string? prefix) => prefix is null
        ? weight
        : weight with
        {
            Aliases = [.. weight.AllNames.Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(name => name[prefix.Length..]).Concat(weight.Aliases ?? [])],
        };

    private static IEnumerable<WeightSpec> Embedding(EmbeddingSpec embedding)
    {
        yield return Tensor(embedding.Tokens);
        if (embedding.Positions is { } positions)
            yield return Tensor(positions);
        if (embedding.TokenTypes is { } types)
            yield return Tensor(types);
        foreach (var weight in Norm(embedding.Norm))
            yield return weight;
    }

    private static IEnumerable<WeightSpec> Layer(LayerSpec layer) =>
    [
        .. Norm(layer.AttentionNorm), .. Attention(layer.Attention), .. Norm(layer.AttentionPostNorm), .. Norm(layer.AttentionResidualNorm),
        .. Norm(layer.MlpNorm), .. Mlp(layer.Mlp), .. Moe(layer.Moe), .. Norm(layer.MlpPostNorm), .. Norm(layer.MlpResidualNorm),
    ];

    private static IEnumerable<WeightSpec> Attention(AttentionSpec attention)
    {
        var projections = attention.Qkv.SelectMany(linear => Linear(linear));
        if (attention.Latent is { } latent)
            projections = [.. Linear(latent.QueryDown), .. Norm(latent.QueryNorm), .. Linear(latent.QueryUp),
                .. Linear(latent.KeyValueDown), .. Norm(latent.KeyValueNorm), .. Linear(latent.KeyValueUp)];
        IEnumerable<WeightSpec> sinks = attention.Sinks is { } tensor ? [Tensor(tensor)] : [];
        return [.. projections, .. Norm(attention.QueryNorm), .. Norm(attention.KeyNorm), .. sinks, .. Linear(attention.Output)];
    }

    private static IEnumerable<WeightSpec> Mlp(MlpSpec? mlp, int? expert = null) => mlp is null
        ? []
        : [.. Linear(mlp.Gate, expert), .. Linear(mlp.Up, expert), .. Linear(mlp.GateUp, expert), .. Linear(mlp.Down, expert)];

    private static IEnumerable<WeightSpec> Moe(MoeSpec? moe)
    {
        if (moe is null)
            return [];
        IEnumerable<WeightSpec> correction = moe.Correction is { } tensor ? [Tensor(tensor)] : [];
        var experts = moe.Experts.Count > 0 ? moe.Experts.SelectMany((expert, index) => Mlp(expert, index)) : Packed(moe.Packed);
        return [.. Linear(moe.Router), .. correction, .. experts, .. Mlp(moe.Shared), .. Linear(moe.SharedGate)];
    }

    private static IEnumerable<WeightSpec> Packed(PackedExpertsSpec packed) => packed.Biases is { } biases
        ? [Tensor(packed.GateUp), Tensor(biases.GateUp), Tensor(packed.Down), Tensor(biases.Down)]
        : [Tensor(packed.GateUp), Tensor(packed.Down)];

    private static IEnumerable<WeightSpec> Head(HeadSpec head)
    {
        foreach (var weight in Linear(head.Transform).Concat(Norm(head.TransformNorm)))
            yield return weight;
        foreach (var weight in Linear(head.Output))
            yield return weight.Role == TensorRole.Bias ? weight : weight with { Optional = head.TiedTo is not null, TiedTo = head.TiedTo };
        if (head.BiasCopy is { } copy)
            yield return new WeightSpec(copy, TensorRole.Bias, Optional: true, TiedTo: head.Output.BiasName) { Shape = [head.Output.Out] };
    }

    private static WeightSpec Tensor(TensorSpec tensor) => new(tensor.Name, tensor.Role) { Shape = tensor.Shape };

    private static IEnumerable<WeightSpec> Linear(LinearSpec? linear, int? expert = null)
    {
        if (linear is null)
            yield break;
        IReadOnlyList<string>? aliases = linear.Alias is { } alias ? [alias + ".weight"] : null;
        yield return new WeightSpec(linear.Name + ".weight", linear.Role, Expert: expert, Aliases: aliases) { Shape = linear.StoredShape };
        if (linear.HasBias)
            yield return new WeightSpec(linear.BiasName, TensorRole.Bias, Expert: expert) { Shape = [linear.Out] };
    }

    private static IEnumerable<WeightSpec> Norm(NormSpec? norm)
    {
        if (norm is null)
            yield break;
        foreach (var name in norm.Parts ?? [norm.Name])
        {
            IReadOnlyList<long> shape = norm.StoredShape ?? [norm.Size / (norm.Parts?.Count ?? 1)];
            yield return new WeightSpec(name + ".weight", TensorRole.Norm, Aliases: norm.GammaBeta ? [name + ".gamma"] : null) { Shape = shape };
            if (norm.HasBias)
                yield return new WeightSpec(name + ".bias", TensorRole.Bias, Aliases: norm.GammaBeta ? [name + ".beta"] : null) { Shape = shape };
        }
    }
}
