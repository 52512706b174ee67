using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>What to do with a tensor of raw state dicts that some inputs lack.</summary>
public enum MissingTensors
{
    /// <summary>Refuse.</summary>
    Refuse,

    /// <summary>Leave the tensor out.</summary>
    Intersection,

    /// <summary>Merge it from the inputs that have it.</summary>
    Union,
}

/// <summary>What the command line adds to a recipe.</summary>
public sealed record PlanOptions
{
    /// <summary>The folder that relative model paths start from.</summary>
    public string WorkingDirectory { get; init; } = Directory.GetCurrentDirectory();

    /// <summary>Where earlier documents of the same file were written: name to folder.</summary>
    public IReadOnlyDictionary<string, string> NamedResults { get; init; } = new Dictionary<string, string>();

    /// <summary>Earlier documents of the same file whose results are worked out when they are read, by name.</summary>
    public IReadOnlyDictionary<string, StageModel> NamedModels { get; init; } = new Dictionary<string, StageModel>();

    /// <summary>Largest output file in bytes, unless one tensor alone is larger.</summary>
    public long ShardBytes { get; init; } = 5_000_000_000;

    /// <summary>Merge models of different architectures if their tensors agree.</summary>
    public bool AllowCrimes { get; init; }

    /// <summary>State dicts without a config: every tensor by name, no layers.</summary>
    public bool Raw { get; init; }

    /// <summary>What to do with a tensor of raw state dicts that some inputs lack.</summary>
    public MissingTensors Missing { get; init; }

    /// <summary>Changes the form of each model when it is opened; its tensors are then taken as they are, whatever the architecture implies.</summary>
    public Func<ModelInput, ModelInput>? Convert { get; init; }

    /// <summary>Copy tokenizer and generation files of the base (or first) model.</summary>
    public bool CopyTokenizer { get; init; } = true;

    /// <summary>Seed of every random choice.</summary>
    public ulong Seed { get; init; }

    /// <summary>Worker threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Elements of one chunk; rounded up to a whole number of summation blocks.</summary>
    public int ChunkElements { get; init; } = 32768;

    /// <summary>What decomposes matrices.</summary>
    public IDecomposer Decomposer { get; init; } = new CpuDecomposer();

    /// <summary>Records the statistics that recipes ask for; null where that cannot be done.</summary>
    public StatisticsMaker? Statistics { get; init; }

    /// <summary>Where the result will be written, for the disk space check; null: not checked.</summary>
    public string? OutputFolder { get; init; }
}
