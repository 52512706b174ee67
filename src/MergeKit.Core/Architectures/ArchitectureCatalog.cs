using MergeKit.Core.Architectures.Families;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Architectures;

/// <summary>Every architecture that is known.</summary>
public static class ArchitectureCatalog
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<Architecture> All { get; } =
    [
        Llama.Architecture, Mistral.Architecture, Mixtral.Architecture, Qwen2.Architecture, Qwen3.Architecture, Qwen2Moe.Architecture,
        Qwen3Moe.Architecture, Deepseek.Architecture, DeepseekV2.Architecture, DeepseekV3.Architecture, Gemma.Architecture, Gemma2.Architecture, Gemma3.Architecture,
        Phi.Architecture, Phi3.Architecture, Olmo2.Architecture, Gpt2.Architecture, GptNeoX.Architecture, GptOss.Architecture,
        SmolLm3.Architecture, Cohere.Architecture, StableLm.Architecture, Starcoder2.Architecture, Falcon.Architecture,
        Bert.Architecture, Roberta.Architecture,
    ];

    /// <summary>The architecture of a configuration, by class name, else (where no class is named) by model type; null where unknown.</summary>
    public static Architecture? Find(ModelConfig config)
    {
        if (config.Architecture is { } name)
            return All.FirstOrDefault(architecture => architecture.ClassNames.Contains(name, StringComparer.Ordinal));
        return config.ModelType is { } type ? All.FirstOrDefault(architecture => architecture.ModelType == type) : null;
    }

    /// <summary>The architecture of a configuration.</summary>
    /// <exception cref="InputException">It is unknown; names it and lists what is supported.</exception>
    public static Architecture Get(ModelConfig config)
    {
        if (Find(config) is { } found)
            return found;
        var names = All.SelectMany(architecture => architecture.ClassNames).ToList();
        var seen = config.Architecture ?? config.ModelType;
        throw new InputException(seen is null
            ? $"{config.File}: names neither 'architectures' nor 'model_type'; supported: {string.Join(", ", names)}"
            : $"{config.File}: architecture '{seen}' is not supported: there is no declaration of its tensors and forward pass."
                + $"{Spelling.Hint(seen, names)} Supported: {string.Join(", ", names)}");
    }
}
