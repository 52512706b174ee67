using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search;

/// <summary>Makes candidate merges into models that can be scored, without files. One candidate at a time.</summary>
public interface ICandidateModels
{
    /// <summary>Layers of the models.</summary>
    int Layers { get; }

    /// <summary>The model of a recipe; the model of the call before is then no longer usable.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="yaml">The recipe's text.</param>
    /// <exception cref="InputException">The recipe cannot be carried out.</exception>
    EvaluatedModel Build(string name, string yaml);
}
