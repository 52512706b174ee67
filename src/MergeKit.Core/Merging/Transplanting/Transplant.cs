using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Gives a model the tokenizer of another: rows of tokens that both have move to their new place, the others are made. All other tensors stay as they are.</summary>
public sealed class Transplant : IDisposable
{
    private readonly TransplantOptions _options;
    private readonly List<TransplantedMatrix> _matrices = [];
    private readonly List<TransplantedTensor> _report = [];
    private readonly LoadedModel? _donor;

    private Transplant(MergePlan plan, LoadedModel? donor, TransplantOptions options) => (Plan, _donor, _options) = (plan, donor, options);

    /// <summary>The plan to carry out, after <see cref="Solve"/>; with its problems.</summary>
    public MergePlan Plan { get; }

    /// <summary>What became of the rows; complete after <see cref="Solve"/>.</summary>
    public IReadOnlyList<TransplantedTensor> Report => _report;

    /// <summary>Decides what is to be done, from headers, configurations and tokenizers.</summary>
    /// <param name="model">The model.</param>
    /// <param name="donor">The model whose tokenizer it gets.</param>
    /// <param name="options">How rows are made.</param>
    /// <param name="planOptions">Threads, shards, output folder.</param>
    public static Transplant Prepare(string model, string donor, TransplantOptions options, PlanOptions planOptions)
    {
        var plan = MergePlanner.Plan(CopyOf(model), planOptions);
        var problems = plan.Problems.Select(Unplaced).ToList();
        var loaded = OpenDonor(donor, planOptions, problems);
        var transplant = new Transplant(plan, loaded, options);
        if (problems.TrueForAll(problem => problem.Severity != Severity.Error) && loaded is not null)
            transplant.PlanRows(problems);
        plan.Problems = [.. problems.Distinct().OrderByDescending(problem => problem.Severity)];
        return transplant;
    }

    /// <summary>Makes the new rows' combinations. Takes the time; the data are written by running the plan.</summary>
    public void Solve(TransplantProgress progress, CancellationToken cancellation)
    {
        foreach (var matrix in _matrices)
            _report.Add(matrix.Solve(_options, Plan.Options.Threads, progress, cancellation));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Plan.Dispose();
        _donor?.Checkpoint.Dispose();
    }

    private static Recipe CopyOf(string model) =>
        RecipeReader.Parse("transplant", $"merge_method: passthrough\nmodels:\n- model: {System.Text.Json.JsonSerializer.Serialize(model)}\n")[0];

    /// <summary>There is no recipe file that a place could be in.</summary>
    private static Problem Unplaced(Problem problem) => problem with { Location = null };

    private static LoadedModel? OpenDonor(string donor, PlanOptions options, List<Problem> problems)
    {
        var own = new List<Problem>();
        var models = new ModelLoader(options, own).Load(CopyOf(donor));
        problems.AddRange(own.Select(Unplaced));
        return models.Values.FirstOrDefault();
    }

    private void PlanRows(List<Problem> problems)
    {
        var model = Plan.Models[0];
        var tokenizers = TokenizerLoader.Load([model.Folder, _donor!.Folder], problems);
        foreach (var folder in new[] { model.Folder, _donor.Folder }.Where(folder => !tokenizers.ContainsKey(folder) && !File.Exists(Path.Combine(folder, "tokenizer.json"))))
            problems.Add(Problem.Error($"{folder}: has no tokenizer.json"));
        if (problems.Exists(problem => problem.Severity == Severity.Error))
            return;
        var (mine, theirs) = (tokenizers[model.Folder], tokenizers[_donor.Folder]);
        var limit = ModelVocabulary.LimitOf(_donor);
        var rows = limit < int.MaxValue ? Math.Max(theirs.Vocabulary.Values.Where(id => id < limit).DefaultIfEmpty(-1).Max() + 1, 1) : theirs.VocabularySize;
        var matches = new TokenMatches(mine, ModelVocabulary.LimitOf(model), theirs, rows);
        if (_options.WellTrainedOnly)
            Restrict(model, matches, mine, theirs, rows);
        CheckShared(matches, mine, theirs, problems);
        Plan.Jobs = [.. Plan.Jobs.Select(job => Replace(job, model, matches, mine, problems))];
        if (_matrices.Count == 0)
            problems.Add(Problem.Error($"model '{model}': no embedding is known among its tensors, so no rows can be moved"));
        Plan.Layout = ShardLayout.Create([.. Plan.Jobs.Select(job => new PlannedTensor(job.Name, job.OutputType, job.Shape, job.ByteLength))], Plan.Options.ShardBytes);
        TransplantFiles.Decide(Plan, _donor, mine, theirs, rows, problems);
    }

    private void Restrict(LoadedModel model, TokenMatches matches, Tokenizer mine, Tokenizer theirs, int rows)
    {
        var (own, other) = (WellTrainedTokens.Of(model, mine, ModelVocabulary.LimitOf(model), false), WellTrainedTokens.Of(_donor!, theirs, rows, true));
        if (own is not null && other is not null)
            matches.Restrict(own, other);
    }

    private void CheckShared(TokenMatches matches, Tokenizer mine, Tokenizer theirs, List<Problem> problems)
    {
        var (shared, tokens) = (matches.Shared.Count(), matches.Kinds.Count(kind => kind != TokenMatch.Padding));
        var needed = _options.Method is TransplantMethod.Omp or TransplantMethod.CommonInterpolation or TransplantMethod.LandmarkPca or TransplantMethod.Stb or TransplantMethod.MpRope;
        if (needed && shared == 0)
            problems.Add(Problem.Error($"the tokenizers have no token in common ({mine.File}, {theirs.File}): there is nothing to combine new rows from{(_options.WellTrainedOnly ? " among the well trained ones" : "")}; --method subword or mean needs no common tokens"));
        else if (shared < tokens / 10)
            problems.Add(Problem.Warning($"the tokenizers have only {shared:N0} of {tokens:N0} tokens in common: the result will need training"));
    }

    /// <summary>The job of an embedding or head with the donor's numbering; other jobs as they are.</summary>
    private TensorJob Replace(TensorJob job, LoadedModel model, TokenMatches matches, Tokenizer tokenizer, List<Problem> problems)
    {
        if (model.Weights.FirstOrDefault(weight => weight.Layer is null && weight.AllNames.Contains(job.Name)) is not { Role: TensorRole.Embedding or TensorRole.Head } weight || job.Shape.Count != 2)
            return job;
        var donors = _donor!.Weights.FirstOrDefault(other => other.Role == weight.Role && other.Layer is null);
        var tensor = donors is null ? null : _donor.Find(donors, null) ?? (donors.TiedTo is { } tied ? _donor.Checkpoint.Find(tied) : null);
        if (tensor is null or { Shape.Count: not 2 } || tensor.Shape[0] < matches.Rows.Length)
        {
            problems.Add(Problem.Error($"donor '{_donor}': {(tensor is null ? $"has no tensor for '{job.Name}'" : $"tensor '{tensor.Name}' is {tensor.ShapeText}, [{matches.Rows.Length} or more, any] is wanted")}"));
            return job;
        }

        (Rotation, Rotation)? rotations = null;
        if (_options.Method == TransplantMethod.MpRope)
        {
            var (own, other) = (Rotation.Of(model, checked((int)job.Shape[1]), problems), Rotation.Of(_donor, checked((int)tensor.Shape[1]), problems));
            if (own is null || other is null)
                return job;
            rotations = (own, other);
        }

        var matrix = new TransplantedMatrix(job, weight.Role == TensorRole.Head, new CheckpointSource(_donor.Checkpoint, tensor, tensor.ElementCount, null), checked((int)tensor.Shape[1]), matches, tokenizer, _options, rotations);
        _matrices.Add(matrix);
        return matrix.Job;
    }
}
