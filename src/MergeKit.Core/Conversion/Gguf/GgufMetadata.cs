using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Conversion.Gguf;

/// <summary>A network's facts as metadata of a GGUF file, and what of them llama.cpp could not follow.</summary>
internal sealed class GgufMetadata(ModelConfig config, NetworkSpec network, GgufFamily family, List<Problem> problems)
{
    private const int Gemma2Largest = 46, Gemma3Largest = 62, YarnBetaFast = 32, YarnBetaSlow = 1, CohereNormed = 64, DeepSeekLite = 27;
    private const float GptOssLimit = 7;
    private readonly AttentionSpec _attention = network.Layers[0].Attention;
    private readonly MoeSpec? _moe = network.Layers.Select(layer => layer.Moe).FirstOrDefault(moe => moe is not null);

    private RopeSpec? Rope => network.Layers.FirstOrDefault(layer => layer.Attention is { Window: null, Rope: not null })?.Attention.Rope ?? network.Layers.Select(layer => layer.Attention.Rope).FirstOrDefault(rope => rope is not null);

    /// <summary>Keys after the family's name, and values.</summary>
    public IEnumerable<(string Key, object Value)> Values() => Sizes().Concat(Attention()).Concat(Rotation()).Concat(Experts());

    /// <summary>Notes what llama.cpp would compute otherwise.</summary>
    public void Check()
    {
        CheckLayers();
        var scale = ExpectedScale();
        if (network.Layers.Any(layer => Math.Abs(layer.Attention.Scale / scale - 1) > 1e-4))
            Refuse($"its attention scores are multiplied by {_attention.Scale:g6}; llama.cpp would take {scale:g6}");
        var activations = network.Layers.Select(layer => layer.Mlp?.Activation ?? layer.Moe!.Activation).Distinct().ToList();
        if (!activations.TrueForAll(IsExpected))
            Refuse($"its activation is {string.Join(", ", activations)}; llama.cpp would take {(IsExpected(Activation.Silu) ? Activation.Silu : Activation.GeluTanh)}");
        if (family.Name is "gemma2" or "gemma3" or "gpt-oss")
            CheckWindows(family.Name == "gemma3" ? 6 : 2);
        else if (_attention.Window is { } window)
            problems.Add(Problem.Warning($"{config.File}: llama.cpp lets every token of a '{family.Name}' model see all before it: beyond the window of {window} tokens its results differ"));
        if (family.Name == "deepseek2" && Rope is { Interleaved: false })
            Refuse("its rotary pairs are halves of a head; llama.cpp rotates neighbours");
        if (_moe?.Routing is { } routing && family.Name is "llama" or "qwen2moe" or "qwen3moe" && routing.Normalise == (family.Name == "qwen2moe"))
            Refuse($"its experts' weights are {(routing.Normalise ? "" : "not ")}normalised; llama.cpp would do the opposite");
        if (_moe?.Routing is { Groups: > 1, Ranking: GroupRanking.Best })
            problems.Add(Problem.Warning($"{config.File}: llama.cpp does not limit the choice of experts to groups ranked by their best expert: it chooses among all"));
    }

    private void CheckLayers()
    {
        var dense = _moe is not null && network.Layers.Any(layer => layer.Mlp is not null);
        if (dense && (family.Name != "deepseek2" || network.Layers.SkipWhile(layer => layer.Mlp is not null).Any(layer => layer.Mlp is not null)))
            Refuse("it has feed-forward blocks without experts among those with; llama.cpp has none of that form");
        if (family.Name == "falcon" && (_attention.AlibiSlopes is not null || !network.Layers[0].Parallel))
            Refuse("llama.cpp's Falcon has rotary positions and parallel sublayers only");
        if (family.Name == "smollm3" && network.Layers.Select((layer, i) => layer.Attention.Rope is not null == ((i + 1) % 4 != 0)).Contains(false))
            Refuse("llama.cpp leaves every fourth layer without rotary positions; this model another choice");
        if (family.Name == "command-r" && _attention.QueryNorm is not null != network.Layers.Count >= CohereNormed)
            Refuse($"llama.cpp has norms of queries and keys in models of {CohereNormed} layers or more, and only there");
        if (family.Name == "gpt-oss" && network.Layers.Any(layer => layer.Moe is not { ClampedSwigluLimit: GptOssLimit } || layer.Attention.Sinks is null))
            Refuse($"llama.cpp clamps gates and ups of all its layers' experts at {GptOssLimit}; this model otherwise");
        if (family.Name == "gptneox" && config.GetBool("attention_bias") == false)
            Refuse("llama.cpp's GPT-NeoX has biases in attention; this model none");
        if (family.Name == "deepseek2" && _attention.Latent is { QueryDown: null } && network.Layers.Count != DeepSeekLite)
            Refuse($"llama.cpp knows queries without a latent in models of {DeepSeekLite} layers only");
    }

    private void CheckWindows(int pattern)
    {
        if (network.Layers.Select((layer, i) => layer.Attention.Window is not null == (i % pattern < pattern - 1)).Contains(false))
            Refuse($"llama.cpp gives a window to all but every {pattern}th layer; this model another choice");
    }

    private double ExpectedScale()
    {
        var isLargest = (family.Name, network.Layers.Count) is ("gemma2", Gemma2Largest) or ("gemma3", Gemma3Largest);
        var width = isLargest ? (double)network.HiddenSize / _attention.Heads : _attention.HeadDim;
        return (family.Name == "deepseek2" ? Math.Pow(LatentMagnitude(), 2) : 1) / Math.Sqrt(width);
    }

    private double LatentMagnitude() => Rope is { Scaling: RopeScaling.Yarn } rope ? 1 + LogMultiplier() * Math.Log(rope.Factor) : 1;

    /// <summary>0.1 mscale_all_dim, which DeepSeek's scores are scaled by.</summary>
    private double LogMultiplier() => Math.Abs(_attention.Scale * Math.Sqrt(_attention.HeadDim) - 1) < 1e-6 || Rope is null || Rope.Factor <= 1 ? 0
        : Math.Round((Math.Sqrt(_attention.Scale * Math.Sqrt(_attention.HeadDim)) - 1) / Math.Log(Rope.Factor), 6);

    private bool IsExpected(Activation activation) => family.Name switch
    {
        "gemma" or "gemma2" or "gemma3" or "phi2" or "gpt2" or "starcoder2" => activation == Activation.GeluTanh,
        "falcon" or "gptneox" => activation is Activation.Gelu or Activation.GeluTanh,
        _ => activation == Activation.Silu,
    };

    private IEnumerable<(string, object)> Sizes()
    {
        yield return ("vocab_size", (uint)network.VocabularySize);
        yield return ("context_length", (uint)(config.GetInt("max_position_embeddings") ?? network.MaxLength));
        yield return ("embedding_length", (uint)network.HiddenSize);
        yield return ("block_count", (uint)network.Layers.Count);
        yield return ("feed_forward_length", (uint)(network.Layers.Select(layer => layer.Mlp?.Intermediate).FirstOrDefault(width => width is not null) ?? config.GetInt("intermediate_size") ?? _moe!.Intermediate));
        if (family.Name is "stablelm" or "gptneox")
            yield return ("use_parallel_residual", network.Layers[0].Parallel);
        if (network.Head.Scale != 1)
            yield return ("logit_scale", network.Head.Scale);
        if (network.Head.Softcap is { } cap)
            yield return ("final_logit_softcapping", cap);
    }

    private IEnumerable<(string, object)> Attention()
    {
        yield return ("attention.head_count", (uint)_attention.Heads);
        yield return ("attention.head_count_kv", (uint)_attention.KvHeads);
        yield return ("attention.key_length", (uint)_attention.HeadDim);
        yield return ("attention.value_length", (uint)_attention.ValueDim);
        var norm = network.FinalNorm!;
        yield return (norm.Kind == NormKind.Rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", (float)norm.Epsilon);
        if (network.Layers.Select(layer => layer.Attention.Window).FirstOrDefault(window => window is not null) is { } size)
            yield return ("attention.sliding_window", (uint)size);
        if (_attention.Softcap is { } cap)
            yield return ("attn_logit_softcapping", cap);
        if (_attention.Latent is not { } latent)
            yield break;
        yield return ("attention.kv_lora_rank", (uint)latent.Rank);
        if (latent.QueryDown is { } down)
            yield return ("attention.q_lora_rank", (uint)down.Out);
    }

    private IEnumerable<(string, object)> Rotation()
    {
        if (Rope is not { } rope)
            yield break;
        yield return ("rope.dimension_count", (uint)rope.Dim);
        yield return ("rope.freq_base", (float)rope.Theta);
        if (family.Name == "gemma3" && network.Layers.FirstOrDefault(layer => layer.Attention.Window is not null)?.Attention.Rope is { } local)
            yield return ("rope.freq_base_swa", (float)local.Theta);
        foreach (var pair in rope.Scaling switch { RopeScaling.Linear => Linear(rope), RopeScaling.Yarn => Yarn(rope), RopeScaling.LongRope => LongRope(rope), _ => [] })
            yield return pair;
        if (rope.Scaling == RopeScaling.DynamicNtk)
            Refuse("RoPE scaling of type 'dynamic' cannot be written to GGUF; linear, llama3, yarn and longrope can");
    }

    private static IEnumerable<(string, object)> Linear(RopeSpec rope) => [("rope.scaling.type", "linear"), ("rope.scaling.factor", (float)rope.Factor)];

    private List<(string, object)> Yarn(RopeSpec rope)
    {
        var isLatent = family.Name == "deepseek2";
        var magnitude = isLatent ? 1 : 1 + 0.1 * Math.Log(rope.Factor);
        if (Math.Abs(rope.AttentionFactor - magnitude) > 1e-4)
            Refuse($"YaRN's factor on sine and cosine is {rope.AttentionFactor:g6}; llama.cpp would take {magnitude:g6}");
        if (Math.Abs(rope.BetaFast - YarnBetaFast) > 1e-6 || Math.Abs(rope.BetaSlow - YarnBetaSlow) > 1e-6)
            Refuse($"YaRN's ramp is from {rope.BetaFast:g6} to {rope.BetaSlow:g6} rotations; llama.cpp would take {YarnBetaFast} to {YarnBetaSlow}");
        if (!rope.Truncate)
            problems.Add(Problem.Warning($"{config.File}: llama.cpp rounds the ends of YaRN's ramp to whole dimensions, this model does not ('truncate' is false): a few frequencies differ a little"));
        List<(string, object)> values =
        [
            ("rope.scaling.type", "yarn"), ("rope.scaling.factor", (float)rope.Factor), ("rope.scaling.original_context_length", (uint)rope.OriginalLength),
        ];
        if (isLatent)
            values.Add(("rope.scaling.yarn_log_multiplier", (float)LogMultiplier()));
        return values;
    }

    private static IEnumerable<(string, object)> LongRope(RopeSpec rope) =>
        [("rope.scaling.original_context_length", (uint)rope.OriginalLength), ("rope.scaling.attn_factor", (float)rope.AttentionFactor)];

    private IEnumerable<(string, object)> Experts()
    {
        if (_moe is null)
            yield break;
        var routing = _moe.Routing;
        yield return ("expert_count", (uint)routing.Experts);
        yield return ("expert_used_count", (uint)routing.TopK);
        if (family.Name != "llama")
            yield return ("expert_feed_forward_length", (uint)_moe.Intermediate);
        if (family.Name == "qwen2moe" && _moe.Shared is { } shared)
            yield return ("expert_shared_feed_forward_length", (uint)shared.Intermediate);
        if (family.Name != "deepseek2")
            yield break;
        yield return ("leading_dense_block_count", (uint)network.Layers.TakeWhile(layer => layer.Moe is null).Count());
        yield return ("expert_shared_count", (uint)((_moe.Shared?.Intermediate ?? 0) / _moe.Intermediate));
        yield return ("expert_weights_scale", routing.Scale);
        yield return ("expert_weights_norm", routing.Normalise);
        yield return ("expert_gating_func", routing.Scoring == RouterScoring.Sigmoid ? 2u : 1u);
        if (routing is { Groups: > 1, Ranking: GroupRanking.SumOfBestTwo })
        {
            yield return ("expert_group_count", (uint)routing.Groups);
            yield return ("expert_group_used_count", (uint)routing.TopGroups);
        }
    }

    private void Refuse(string what)
    {
        var message = $"{config.File}: cannot be written to GGUF as '{family.Name}': {what}";
        if (!problems.Exists(problem => problem.Message == message))
            problems.Add(Problem.Error(message));
    }
}
