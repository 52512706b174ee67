using MergeKit.Core.Architectures;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends;

/// <summary>A matrix that a backend holds or refers to: row blocks of stored tensors, with a bias over all rows.</summary>
public interface IMatrix
{
    /// <summary>Output features.</summary>
    int Rows { get; }

    /// <summary>Input features.</summary>
    int Columns { get; }
}

/// <summary>Where a block of a matrix comes from, by the names that the architecture gives its tensors.</summary>
/// <param name="Weight">The tensor.</param>
/// <param name="Offset">The block's first element there.</param>
/// <param name="Bias">The tensor of the block's biases; null for none.</param>
/// <param name="BiasOffset">The block's first bias there.</param>
public sealed record MatrixOrigin(string Weight, long Offset = 0, string? Bias = null, int BiasOffset = 0);

/// <summary>What a matrix is made of.</summary>
/// <param name="Blocks">Stored tensors, each [out, in] or, transposed, [in, out]; their rows one below the other.</param>
/// <param name="StoredTransposed">Whether they are stored [in, out].</param>
/// <param name="Bias">Over all rows; null for none.</param>
/// <param name="Gate">Whether rows are those of gate and up, and in which order.</param>
public sealed record MatrixSource(IReadOnlyList<WeightTensor> Blocks, bool StoredTransposed, float[]? Bias, GateKind Gate = GateKind.None)
{
    /// <summary>Where each block comes from; empty where no gradients are asked for.</summary>
    public IReadOnlyList<MatrixOrigin> Origins { get; init; } = [];
}

/// <summary>Activations of a batch, [tokens, width] in float32, where the backend computes.</summary>
public interface IBuffer : IDisposable
{
    /// <summary>Tokens held.</summary>
    int Rows { get; }

    /// <summary>Floats per token.</summary>
    int Columns { get; }
}

/// <summary>The keys and values of one sequence in all layers.</summary>
public interface IKvCache : IDisposable
{
    /// <summary>Positions held.</summary>
    int Length { get; }

    /// <summary>Forgets the positions from <paramref name="length"/> on.</summary>
    void Truncate(int length);

    /// <summary>A copy of what is held, with room for more positions.</summary>
    IKvCache Fork(int room);
}

/// <summary>The operations of a forward pass, at the grain that kernels fuse. One caller at a time.</summary>
/// <remarks>Outputs are sized by the backend. Rows of activations follow <see cref="ForwardBatch.Ids"/>: sequences one after the other,
/// without padding.</remarks>
public interface IBackend : IDisposable
{
    /// <summary>Makes a matrix.</summary>
    IMatrix LoadMatrix(MatrixSource source);

    /// <summary>Makes matrices of one shape, the experts of a layer, that may lie together.</summary>
    IReadOnlyList<IMatrix> LoadMatrices(IReadOnlyList<MatrixSource> sources);

    /// <summary>Tells of a table that <see cref="Embed"/> will read.</summary>
    void LoadTable(WeightTensor table)
    {
    }

    /// <summary>Tells that the arrays of norms and biases have other contents than when they were bound.</summary>
    void VectorsChanged()
    {
    }

    /// <summary>Makes an empty buffer.</summary>
    IBuffer CreateBuffer();

    /// <summary>Makes an empty cache for one sequence.</summary>
    IKvCache CreateCache();

    /// <summary>The most tokens that one pass should have, so that activations stay within a bound.</summary>
    int TokensPerPass { get; }

    /// <summary>Makes room in every cache of a batch for its new tokens, and counts them as held.</summary>
    void Extend(ForwardBatch batch);

    /// <summary>Runs a pass over a batch after <see cref="Extend"/>; where an earlier pass of the same form was recorded, that may be replayed instead.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="weights">What the pass uses; passes of other weights are other passes.</param>
    /// <param name="pass">Calls the operations below, and nothing else that matters.</param>
    void Run(ForwardBatch batch, NetworkWeights weights, Action pass);

    /// <summary>hidden = scale x token row + position row + type row, then the norm where there is one.</summary>
    void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden);

    /// <summary>residual += delta (where given); output = norm(residual). Output may be the residual itself.</summary>
    void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output);

    /// <summary>residual += delta.</summary>
    void Add(IBuffer residual, IBuffer delta);

    /// <summary>output = x W^T + b, or output += that.</summary>
    void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate);

    /// <summary>x = f(x).</summary>
    void Activate(Activation activation, IBuffer x);

    /// <summary>Projects to queries, keys and values, norms and rotates queries and keys, and writes keys and values to the caches.</summary>
    void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries);

    /// <summary>Attention of every query over its sequence's keys, [tokens, heads x value width].</summary>
    void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output);

    /// <summary>The feed-forward block; adds to the output where <paramref name="accumulate"/> is set.</summary>
    void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate);

    /// <summary>The mixture of experts; computes routed experts only.</summary>
    /// <param name="weights">Router and experts.</param>
    /// <param name="x">Input.</param>
    /// <param name="output">Output.</param>
    /// <param name="accumulate">Whether to add to the output.</param>
    /// <param name="choice">Receives the chosen experts and their weights where given.</param>
    void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice);

    /// <summary>Logits of one row.</summary>
    void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits);

    /// <summary>ln p of one target per row, over chunks of the vocabulary; never holds rows x vocabulary logits.</summary>
    /// <param name="weights">The output matrix.</param>
    /// <param name="hidden">Hidden states after the final norm.</param>
    /// <param name="rows">Rows to score.</param>
    /// <param name="targets">One id per row.</param>
    /// <param name="logProbs">Receives ln p(target).</param>
    /// <param name="isArgMax">Receives whether the target had the largest logit; the lowest id wins ties.</param>
    void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax);

    /// <summary>The id with the largest logit for each of some rows; the lowest id wins ties. -1 where that logit is no finite number.</summary>
    void ArgMax(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids);

    /// <summary>Draws the next token of a row; -1 where this backend leaves it to the caller, or the largest logit is no finite number.</summary>
    int Draw(HeadWeights weights, IBuffer hidden, int row, in DrawRule rule) => -1;

    /// <summary>The most probable next token of every row, perhaps not known yet; a batch made by <see cref="ForwardBatch.Follow"/> can go on from there.</summary>
    IPendingIds QueueArgMax(HeadWeights weights, IBuffer hidden);

    /// <summary>Logits of neighbouring rows, [rows, vocabulary]: as many as there is room for.</summary>
    void LogitRows(HeadWeights weights, IBuffer hidden, int first, Span<float> logits)
    {
        var vocabulary = weights.Output.Rows;
        for (var start = 0; start < logits.Length; start += vocabulary)
            Logits(weights, hidden, first++, logits.Slice(start, vocabulary));
    }

    /// <summary>ln p of one target per row under a combined law, and whether it was the most probable id. Called on the first head's
    /// backend; nobody else uses the backends of any of the heads meanwhile. Logits are finite: a sum that is NaN or plus infinity is an error
    /// (<see cref="Core.Ensembles.EnsembleError.NotANumber"/>).</summary>
    /// <param name="heads">The heads and their rule.</param>
    /// <param name="targets">One id per row.</param>
    /// <param name="logProbs">Receives ln p(target).</param>
    /// <param name="isArgMax">Receives whether the target had the largest combined score; the lowest id wins ties.</param>
    /// <returns>False where this backend has no way for these heads or this rule; then nothing has been written, and rows of logits are combined on the CPU.</returns>
    bool TryScoreCombined(CombinedHeads heads, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax) => false;

    /// <summary>The combined laws, normalised log-probabilities [rows, vocabulary]. As <see cref="TryScoreCombined"/> otherwise.</summary>
    bool TryCombine(CombinedHeads heads, Span<float> logProbs) => false;

    /// <summary>Copies one row to another buffer, which then has that row only.</summary>
    void CopyRow(IBuffer source, int row, IBuffer destination) => CopyRows(source, [row], destination);

    /// <summary>Copies rows to another buffer, which then has these only.</summary>
    void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination);

    /// <summary>Copies rows to the host: <paramref name="row"/> and those after it, as many as <paramref name="values"/> holds.</summary>
    void Read(IBuffer source, int row, Span<float> values);
}
