using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging;

/// <summary>Marks a <see cref="MergeMethod"/> so that it is found by the name that recipes use.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class MergeMethodAttribute : Attribute;

/// <summary>What a method does with <c>base_model</c>.</summary>
public enum BaseRole
{
    /// <summary>The base, if given, is an input like any other.</summary>
    Ordinary,

    /// <summary>Works without a base. With one, on differences from it: the base is not an input and has no parameters.</summary>
    Optional,

    /// <summary>The method cannot work without a base.</summary>
    Required,
}

/// <summary>How a method treats inputs whose embeddings have different numbers of rows.</summary>
public enum VocabularyCut
{
    /// <summary>An error.</summary>
    None,

    /// <summary>All are cut to the common leading rows.</summary>
    ToSmallest,

    /// <summary>The others are cut to the base's rows; a base larger than another is an error.</summary>
    ToBase,
}

/// <summary>A way to make one tensor of several: <see cref="Prepare"/> takes whole-tensor reductions in streaming passes and returns
/// the elementwise step. A method holds no state and is shared by all threads.</summary>
public abstract class MergeMethod
{
    /// <summary>The name, a sentence, and the parameters, as recipes, help and schema show them.</summary>
    public abstract MethodDescription Description { get; }

    /// <summary>The formula, with the symbols W_b (base), W_i (model i), D_i = W_i - W_b, w_i (weight).</summary>
    public abstract string Formula { get; }

    /// <summary>Where the method comes from.</summary>
    public abstract string Paper { get; }

    /// <summary>Whether a base model is needed.</summary>
    public virtual BaseRole Base => BaseRole.Ordinary;

    /// <summary>The least and the greatest number of models in a slice, base included. An optional tensor may have fewer sources.</summary>
    public virtual (int Least, int Most) SliceModels => (1, int.MaxValue);

    /// <summary>An optional tensor (a head that may be tied) that fewer sources have is left out; others must have so many.</summary>
    public virtual int LeastTensors => 1;

    /// <summary>Bytes held while one tensor is made, beside the workers' chunks: what <see cref="Prepare"/> keeps per row, or a whole matrix.</summary>
    /// <param name="job">The tensor.</param>
    /// <param name="threads">Workers that may help with it.</param>
    public virtual long WorkingBytes(TensorJob job, int threads) => 0;

    /// <summary>The matrices that <see cref="Prepare"/> decomposes.</summary>
    public virtual IEnumerable<MatrixTask> Decompositions(TensorJob job) => [];

    /// <summary>What happens to embeddings of different sizes.</summary>
    public virtual VocabularyCut VocabularyCut => VocabularyCut.None;

    /// <summary>What the method wants to know of each model beside its weights.</summary>
    public virtual StatisticsKind Statistics => StatisticsKind.None;

    /// <summary>Finds fault with a job whose values cannot work, each as a sentence without the tensor's name. Reads no data.</summary>
    public virtual IEnumerable<string> Check(TensorJob job) => [];

    /// <summary>Whether the result is the first source's stored bytes, so that they can be copied without decoding.</summary>
    public virtual bool IsCopy(TensorJob job) => false;

    /// <summary>The same as data, where the method can be carried out elsewhere bit for bit; null where it cannot.</summary>
    /// <param name="job">The tensor, checked.</param>
    /// <param name="seed">The run's seed.</param>
    public virtual MergeFormula? AsFormula(TensorJob job, ulong seed) => null;

    /// <summary>Makes the passes over the whole tensor that the elementwise step needs.</summary>
    public abstract ChunkCombiner Prepare(TensorInputs inputs);
}

/// <summary>The elementwise step: writes the result of one chunk, in float32. May overwrite the chunk's rows. Called from many threads.</summary>
public delegate void ChunkCombiner(Chunk chunk, Span<float> result);
