using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Conversion;

/// <summary>Multi-head to grouped-query attention by mean-pooling neighbouring key and value heads (Ainslie et al. 2023, "GQA: training generalized
/// multi-query transformer models from multi-head checkpoints", arXiv 2305.13245), for any number of groups; and back by repeating heads, which
/// changes nothing in what the model computes.</summary>
internal static class HeadPooling
{
    private const string Key = "num_key_value_heads";

    public static void Apply(ModelDraft draft, int heads)
    {
        var network = draft.RequireArchitecture("changing the number of key-value heads").Network(draft.TypedConfig);
        var queries = (int)draft.TypedConfig.RequireInt("num_attention_heads");
        var old = (int)(draft.TypedConfig.GetInt(Key) ?? queries);
        if (heads < 1 || queries % heads != 0 || (old % heads != 0 && heads % old != 0))
            throw new InputException($"{draft.Name}: {heads} key-value heads cannot be made of {old} for {queries} query heads; possible: "
                + string.Join(", ", Enumerable.Range(1, queries).Where(n => queries % n == 0 && (old % n == 0 || n % old == 0))));
        foreach (var layer in network.Layers)
        {
            var attention = layer.Attention;
            var pooled = attention.Qkv.Where(linear => linear.Role is TensorRole.AttentionKey or TensorRole.AttentionValue).ToList();
            if (pooled.Count != 2 || attention.Latent is not null || pooled.Exists(linear => linear.StoredTransposed))
                throw new InputException($"{draft.Name}: '{draft.TypedConfig.Architecture}' does not store keys and values in matrices of their own; their heads cannot be changed");
            if (attention.KeyNorm is { } norm && norm.Size % old == 0 && norm.Size == pooled[0].Out && old > 1)
                throw new InputException($"{draft.Name}: '{norm.Name}' normalises all key heads together; their number cannot be changed");
            foreach (var linear in pooled)
            {
                Pool(draft, linear.Name + ".weight", old, heads);
                if (linear.HasBias)
                    Pool(draft, linear.BiasName, old, heads);
            }
        }

        draft.Config[Key] = heads;
    }

    private static void Pool(ModelDraft draft, string name, int old, int heads)
    {
        var tensor = draft.Find(name) ?? throw new InputException($"{draft.Name}: lacks tensor '{name}'");
        if (tensor.Shape[0] % old != 0)
            throw new InputException($"{draft.Name}: tensor '{name}' is {tensor.ShapeText}; a multiple of {old} rows, one block per key-value head, is wanted");
        IReadOnlyList<long> shape = [tensor.Shape[0] / old * heads, .. tensor.Shape.Skip(1)];
        draft.Set(TensorInfo.Made(name, tensor.DType, shape, tensor.File, new PooledHeadsContent(draft.Stored, tensor, old, heads)));
    }
}
