using System.Globalization;
using System.Text.RegularExpressions;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Brings Mixtral's classic expert names (<c>block_sparse_moe.experts.e.w1</c> = gate, <c>w3</c> = up, <c>w2</c> = down) into the
/// fused layout (<c>mlp.experts.gate_up_proj</c> [E, 2I, H], gate rows first; <c>mlp.experts.down_proj</c> [E, H, I]).</summary>
internal static partial class MixtralLayout
{
    [GeneratedRegex(@"^(?<layer>.*\.)block_sparse_moe\.experts\.(?<expert>\d+)\.w(?<part>[123])\.weight$")]
    private static partial Regex Classic();

    [GeneratedRegex(@"^(?<layer>.*\.)block_sparse_moe\.gate\.weight$")]
    private static partial Regex ClassicGate();

    /// <summary>The same tensors in the fused layout; what is fused already, or no expert, stays as it is.</summary>
    public static SortedDictionary<string, LoadedTensor> Fuse(SortedDictionary<string, LoadedTensor> tensors, List<string> findings)
    {
        var fused = new SortedDictionary<string, LoadedTensor>(StringComparer.Ordinal);
        var experts = new Dictionary<string, SortedDictionary<int, LoadedTensor?[]>>(StringComparer.Ordinal);
        foreach (var tensor in tensors.Values)
        {
            if (Classic().Match(tensor.Name) is { Success: true } match)
            {
                var layer = experts.TryGetValue(match.Groups["layer"].Value, out var known) ? known : experts[match.Groups["layer"].Value] = [];
                var expert = int.Parse(match.Groups["expert"].ValueSpan, CultureInfo.InvariantCulture);
                layer.TryAdd(expert, new LoadedTensor?[3]);
                layer[expert][match.Groups["part"].Value[0] - '1'] = tensor;
            }
            else if (ClassicGate().Match(tensor.Name) is { Success: true } gate)
                fused.Add(gate.Groups["layer"].Value + "mlp.gate.weight", tensor with { Name = gate.Groups["layer"].Value + "mlp.gate.weight" });
            else
                fused.Add(tensor.Name, tensor);
        }

        foreach (var (layer, parts) in experts)
            FuseLayer(layer, parts, fused, findings);
        return fused;
    }

    private static void FuseLayer(
        string layer, SortedDictionary<int, LoadedTensor?[]> experts, SortedDictionary<string, LoadedTensor> fused, List<string> findings)
    {
        var missing = experts.Any(expert => expert.Value.Any(part => part is null)) || !experts.Keys.SequenceEqual(Enumerable.Range(0, experts.Count));
        var uneven = experts.Values.SelectMany(parts => parts.Select((part, index) => (index, shape: part?.ShapeText, part?.DType))).Distinct().Count() > 3;
        if (missing || uneven)
        {
            findings.Add($"{layer}block_sparse_moe: the experts are not complete and alike");
            return;
        }

        var gate = experts[0][0]!;
        var (inner, hidden) = (gate.Shape[0], gate.Shape[1]);
        byte[] gateUp = [.. experts.Values.SelectMany(parts => parts[0]!.Bytes.Concat(parts[2]!.Bytes))];
        byte[] down = [.. experts.Values.SelectMany(parts => parts[1]!.Bytes)];
        var (upName, downName) = (layer + "mlp.experts.gate_up_proj", layer + "mlp.experts.down_proj");
        fused.Add(upName, new LoadedTensor(upName, gate.DType, [experts.Count, 2 * inner, hidden], gateUp));
        fused.Add(downName, new LoadedTensor(downName, experts[0][1]!.DType, [experts.Count, hidden, inner], down));
    }
}
