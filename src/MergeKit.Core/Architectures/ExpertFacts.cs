using System.Globalization;

namespace MergeKit.Core.Architectures;

/// <summary>Builds the mixture-of-experts blocks of architectures that share one layout.</summary>
/// <param name="decoder">The common facts.</param>
/// <param name="intermediate">Width of an expert.</param>
/// <param name="activation">Its pointwise function.</param>
/// <param name="routing">The rule of choice.</param>
internal sealed class ExpertFacts(Decoder decoder, int intermediate, Activation activation, RoutingSpec routing)
{
    private const int MaxExperts = 4096;
    private const long MaxMatrices = 1 << 18;
    private readonly RoutingSpec _routing = Check(decoder, routing);

    /// <summary>Router <c>gate</c> and experts <c>experts.E.NAME</c>; also understood packed as <c>experts.gate_up_proj</c> and <c>experts.down_proj</c>.</summary>
    /// <param name="prefix">Prefix of the block's tensors.</param>
    /// <param name="names">Names of the gate, up and down matrices of an expert.</param>
    /// <param name="alias">Prefix of the router and the packed tensors in newer checkpoints, where it differs.</param>
    public MoeSpec Moe(string prefix, (string Gate, string Up, string Down) names, string? alias = null) => new()
    {
        Router = new LinearSpec(prefix + "gate", TensorRole.Router, _routing.Experts, decoder.Hidden) { Alias = alias is null ? null : alias + "gate" },
        Routing = _routing,
        Intermediate = intermediate,
        Activation = activation,
        Experts = [.. Enumerable.Range(0, _routing.Experts).Select(expert => Expert(
            string.Create(CultureInfo.InvariantCulture, $"{prefix}experts.{expert}."), names))],
        Packed = new PackedExpertsSpec
        {
            GateUp = new TensorSpec(
                (alias ?? prefix) + "experts.gate_up_proj", TensorRole.ExpertGateUp, [_routing.Experts, 2L * intermediate, decoder.Hidden]),
            Down = new TensorSpec((alias ?? prefix) + "experts.down_proj", TensorRole.ExpertDown, [_routing.Experts, decoder.Hidden, intermediate]),
        },
    };

    /// <summary>An expert that every token visits.</summary>
    public MlpSpec Shared(string prefix, int width) => new()
    {
        Activation = activation,
        Gate = new LinearSpec(prefix + "gate_proj", TensorRole.SharedExpertGate, width, decoder.Hidden),
        Up = new LinearSpec(prefix + "up_proj", TensorRole.SharedExpertUp, width, decoder.Hidden),
        Down = new LinearSpec(prefix + "down_proj", TensorRole.SharedExpertDown, decoder.Hidden, width),
    };

    private static RoutingSpec Check(Decoder decoder, RoutingSpec routing) => (long)decoder.LayerCount * routing.Experts <= MaxMatrices
        ? Check(decoder.Config, routing)
        : throw new Diagnostics.InputException(
            $"{decoder.Config.File}: {decoder.LayerCount} layers of {routing.Experts} experts; at most {MaxMatrices} experts in all are supported");

    /// <summary>Fails where the rule of choice is impossible.</summary>
    public static RoutingSpec Check(ConfigReader config, RoutingSpec routing)
    {
        var sound = routing.Experts <= MaxExperts && routing.TopK <= routing.Experts && routing.Experts % routing.Groups == 0
            && routing.TopGroups <= routing.Groups && routing.TopK <= routing.Experts / routing.Groups * routing.TopGroups;
        return sound
            ? routing
            : throw new Diagnostics.InputException($"{config.File}: routing {routing.TopK} of {routing.Experts} experts from {routing.TopGroups} of "
                + $"{routing.Groups} groups is not possible (at most {MaxExperts} experts are supported)");
    }

    private MlpSpec Expert(string prefix, (string Gate, string Up, string Down) names) => new()
    {
        Activation = activation,
        Gate = new LinearSpec(prefix + names.Gate, TensorRole.ExpertGate, intermediate, decoder.Hidden),
        Up = new LinearSpec(prefix + names.Up, TensorRole.ExpertUp, intermediate, decoder.Hidden),
        Down = new LinearSpec(prefix + names.Down, TensorRole.ExpertDown, decoder.Hidden, intermediate),
    };
}
