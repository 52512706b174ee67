namespace MergeKit.Inference.Runtime;

/// <summary>What to keep of a pass.</summary>
/// <param name="Logits">Logits at every position.</param>
/// <param name="HiddenStates">The residual stream after every layer.</param>
/// <param name="Routers">The choice of experts in every layer that has them.</param>
public readonly record struct TraceOptions(bool Logits = true, bool HiddenStates = false, bool Routers = false);

/// <summary>The experts that each token of a sequence visited in one layer.</summary>
/// <param name="Layer">The layer, counted from 0.</param>
/// <param name="TopK">Experts per token.</param>
/// <param name="Experts">[tokens, TopK], by falling weight.</param>
/// <param name="Weights">[tokens, TopK], as they multiply the experts' outputs.</param>
public sealed record RouterTrace(int Layer, int TopK, int[] Experts, float[] Weights);

/// <summary>What was kept of one sequence.</summary>
/// <param name="Tokens">Length of the sequence.</param>
/// <param name="Logits">[tokens, vocabulary]; empty where not asked for.</param>
/// <param name="HiddenStates">Per layer [tokens, hidden]; empty where not asked for.</param>
/// <param name="Routers">Per layer with experts; empty where not asked for.</param>
public sealed record ForwardTrace(int Tokens, float[] Logits, IReadOnlyList<float[]> HiddenStates, IReadOnlyList<RouterTrace> Routers);
