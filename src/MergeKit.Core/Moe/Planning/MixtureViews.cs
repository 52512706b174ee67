using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe.Planning;

/// <summary>A mixture seen as dense models, one per expert: the same bytes under the names of a dense architecture.</summary>
internal sealed class MixtureViews
{
    private static readonly string[] MixtureKeys =
    [
        "num_local_experts", "num_experts", "num_experts_per_tok", "router_aux_loss_coef", "router_jitter_noise", "output_router_logits", "moe_intermediate_size",
        "shared_expert_intermediate_size", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers", "n_routed_experts", "n_shared_experts", "first_k_dense_replace",
        "moe_layer_freq", "scoring_func", "aux_loss_alpha", "seq_aux", "auto_map", "qkv_bias",
    ];

    private readonly LoadedModel _mixture;
    private readonly NetworkSpec _network;
    private readonly Architecture _architecture;
    private readonly string _kind;

    public MixtureViews(LoadedModel mixture)
    {
        _mixture = mixture;
        _kind = mixture.Config?.Architecture ?? "a state dict without a config";
        var known = mixture.Config is null ? null : ArchitectureCatalog.Find(mixture.Config);
        _network = known?.Declare(mixture.Config!) ?? throw Refused($"its architecture ({_kind}) is not known");
        Layers = [.. _network.Layers.Index().Where(layer => layer.Item.Moe is not null).Select(layer => layer.Index)];
        if (Layers.Count == 0)
            throw Refused($"it has no experts ({_kind})");
        Config = ModelConfig.Parse("the dense model's config.json", DenseConfig().ToJsonString());
        _architecture = ArchitectureCatalog.Get(Config);
    }

    /// <summary>The layers that are mixtures.</summary>
    public IReadOnlyList<int> Layers { get; }

    /// <summary>Number of routed experts.</summary>
    public int Experts => First.Routing.Experts;

    /// <summary>The dense models' configuration, shared experts left out.</summary>
    public ModelConfig Config { get; }

    /// <summary>Width of the shared expert; 0 for none.</summary>
    public int SharedWidth => First.Shared?.Intermediate ?? 0;

    /// <summary>Whether a gate stands on the shared expert.</summary>
    public bool HasSharedGate => First.SharedGate is not null;

    private MoeSpec First => _network.Layers[Layers[0]].Moe!;

    /// <summary>The dense model that an expert makes with all that is no expert's.</summary>
    public LoadedModel View(int expert, ModelReference reference)
    {
        var tensors = new List<TensorInfo>();
        var weights = _architecture.Weights(Config);
        foreach (var weight in weights)
        {
            var info = weight.Layer is { } layer && Layers.Contains(layer) && Role(weight.Role) is { } part
                ? Expert(_network.Layers[layer].Moe!, expert, part)
                : weight.AllNames.Select(_mixture.Checkpoint.Find).FirstOrDefault(found => found is not null);
            if (info is not null)
                tensors.Add(info with { Name = weight.Name });
        }

        return new LoadedModel(reference, _mixture.Folder, new Checkpoint(_mixture.Checkpoint.Path, _mixture.Checkpoint.Files, tensors, []), Config, weights);
    }

    /// <summary>A matrix of the shared expert, or null.</summary>
    public TensorInfo? Shared(int layer, TensorRole role) => _network.Layers[layer].Moe?.Shared is { } shared ? _mixture.Checkpoint.Find(Matrix(shared, role).Name + ".weight") : null;

    private static TensorRole? Role(TensorRole role) => role is TensorRole.MlpGate or TensorRole.MlpUp or TensorRole.MlpDown ? role : null;

    private static LinearSpec Matrix(MlpSpec mlp, TensorRole role) => role switch { TensorRole.MlpGate => mlp.Gate!, TensorRole.MlpUp => mlp.Up!, _ => mlp.Down };

    private TensorInfo? Expert(MoeSpec moe, int expert, TensorRole role)
    {
        if (moe.Experts.Count > expert && _mixture.Checkpoint.Find(Matrix(moe.Experts[expert], role).Name + ".weight") is { } own)
            return own;
        var name = role == TensorRole.MlpDown ? moe.Packed.Down.Name : moe.Packed.GateUp.Name;
        if (_mixture.Checkpoint.Find(name) is not { Shape.Count: 3 } packed || moe.Packed.StoredTransposed || moe.Packed.Interleaved || packed.Shape[0] <= expert || packed.Content is not null)
            return null;
        var (rows, columns) = (role == TensorRole.MlpDown ? packed.Shape[1] : packed.Shape[1] / 2, packed.Shape[2]);
        var (size, first) = (packed.ByteLength / packed.ElementCount, (expert * packed.Shape[1]) + (role == TensorRole.MlpUp ? rows : 0));
        return packed with { Shape = [rows, columns], Offset = packed.Offset + (first * columns * size), ByteLength = rows * columns * size };
    }

    private JsonObject DenseConfig()
    {
        var config = (JsonObject)_mixture.Config!.Json.DeepClone();
        var latent = _kind is "DeepseekV2ForCausalLM" or "DeepseekV3ForCausalLM";
        foreach (var key in MixtureKeys.Where(key => !latent || key is "auto_map"))
            config.Remove(key);
        var dense = _network.Layers.Select(layer => layer.Mlp?.Intermediate).FirstOrDefault(width => width is not null);
        if (dense is { } width && width != First.Intermediate + SharedWidth)
            throw Refused($"it has dense layers of width {width} beside mixtures of width {First.Intermediate + SharedWidth}, which no dense format holds");
        config["intermediate_size"] = First.Intermediate;
        if (latent)
        {
            config["first_k_dense_replace"] = _network.Layers.Count;
            return config;
        }

        var (name, type) = _kind switch
        {
            "MixtralForCausalLM" when config["sliding_window"] is JsonValue => ("MistralForCausalLM", "mistral"),
            "MixtralForCausalLM" or "DeepseekForCausalLM" => ("LlamaForCausalLM", "llama"),
            "Qwen2MoeForCausalLM" => ("Qwen2ForCausalLM", "qwen2"),
            "Qwen3MoeForCausalLM" => ("Qwen3ForCausalLM", "qwen3"),
            _ => throw Refused($"no dense format is known for {_kind}"),
        };
        (config["architectures"], config["model_type"]) = (new JsonArray(name), type);
        return config;
    }

    private InputException Refused(string why) => new([Problem.Error($"'{_mixture}' cannot be collapsed into a dense model: {why}", _mixture.Reference.Location)]);
}
