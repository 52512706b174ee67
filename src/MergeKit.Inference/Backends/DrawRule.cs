namespace MergeKit.Inference.Backends;

/// <summary>How an id is drawn from logits: their softmax at a temperature, of that the most probable ids, of those by a uniform number in the order of ids.</summary>
/// <param name="Temperature">Logits are divided by this, which is above 0.</param>
/// <param name="TopK">Only the k most probable ids; 0 for all.</param>
/// <param name="TopP">Of these only the most probable until their probabilities reach p; 1 for all.</param>
/// <param name="MinP">Of these only ids at least this share as probable as the most probable; 0 for all.</param>
/// <param name="Uniform">At least 0 and below 1: the first id whose probability and those of the lower ids exceed it is drawn.</param>
public readonly record struct DrawRule(float Temperature, int TopK, float TopP, float MinP, double Uniform);
