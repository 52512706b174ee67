namespace MergeKit.Core.Recipes;

/// <summary>Looks parameters up for the tensors of one slice. The first level that yields a value wins: source (for per-model parameters
/// only), slice, module, recipe, and last the method's default.</summary>
public sealed class ParameterResolver(Recipe recipe, RecipeModule module, RecipeSlice slice)
{
    /// <summary>A per-model parameter.</summary>
    /// <param name="parameter">Its description, which holds the default.</param>
    /// <param name="source">The entry of the slice, or null for a base that is not listed: its own level is then skipped.</param>
    /// <param name="sourceTensor">The tensor's name in the source model (source layer number), which filters look into at every level.</param>
    /// <param name="t">Position in the slice, see <see cref="ParameterValue.Resolve"/>.</param>
    /// <returns>The number (true is 1, false is 0), or null when no level yields one and there is no default.</returns>
    public double? PerModel(ParameterDescription parameter, RecipeSource? source, string sourceTensor, double t) =>
        source?.Parameters.Resolve(parameter.Name, sourceTensor, t) ?? Outer(parameter, sourceTensor, t);

    /// <summary>A parameter of the whole merge. Models' own parameters are not looked at.</summary>
    /// <param name="parameter">Its description, which holds the default.</param>
    /// <param name="outputTensor">The tensor's name in the result (output layer number).</param>
    /// <param name="t">Position in the slice, see <see cref="ParameterValue.Resolve"/>.</param>
    /// <returns>The number (true is 1, false is 0), or null when no level yields one and there is no default.</returns>
    public double? Global(ParameterDescription parameter, string outputTensor, double t) => Outer(parameter, outputTensor, t);

    private double? Outer(ParameterDescription parameter, string tensor, double t) =>
        slice.Parameters.Resolve(parameter.Name, tensor, t)
        ?? module.Parameters.Resolve(parameter.Name, tensor, t)
        ?? recipe.Parameters.Resolve(parameter.Name, tensor, t)
        ?? parameter.DefaultNumber;
}
