using MathNet.Numerics.LinearAlgebra;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Merging.Transplanting;
using MergeKit.Core.Numerics;
using MergeKit.Core.Tests.Tokenization;

namespace MergeKit.Core.Tests.Merging.Transplanting;

/// <summary>Sparse token bases, rotary pursuit and the filter for well trained tokens against plain implementations of their definitions.</summary>
public sealed class TransplantMethodTests : IDisposable
{
    private const string Embedding = "model.embed_tokens.weight", Head = "lm_head.weight";
    private static readonly string[] Words = [.. Enumerable.Range(0, 60).Select(i => $"w{i}")];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(TransplantMethod.Stb, 16, 16, 5)]
    [InlineData(TransplantMethod.Stb, 8, 24, 4)]
    [InlineData(TransplantMethod.Stb, 24, 8, 100)]
    [InlineData(TransplantMethod.MpRope, 16, 16, 5)]
    [InlineData(TransplantMethod.MpRope, 8, 24, 3)]
    [InlineData(TransplantMethod.MpRope, 24, 16, 7)]
    public void Rows_are_those_of_the_definition(TransplantMethod method, int donorWidth, int modelWidth, int k)
    {
        string[] theirs = ["new", .. Words.Reverse(), "newer", "newest"];
        var (model, donor) = (Model("model", 1, modelWidth, [.. Words, "own"]), Model("donor", 2, donorWidth, theirs, ("rope_theta", "500000.0")));
        var output = Run(model, donor, new TransplantOptions { Method = method, Neighbours = k }, out var report);
        var (own, other, made) = (LoadedTensor.LoadAll(model), LoadedTensor.LoadAll(donor), LoadedTensor.LoadAll(output));
        (int, int)[] shared = [.. Words.Select((_, i) => (Words.Length - i, i))];
        int[] wanted = [0, Words.Length + 1, Words.Length + 2];
        foreach (var name in new[] { Embedding, Head })
        {
            var (a, b) = (Matrix(other[name], donorWidth), Matrix(own[name], modelWidth));
            var expected = method == TransplantMethod.Stb ? TransplantReference.Stb(a, b, shared, wanted, Math.Min(k, Words.Length))
                : TransplantReference.MpRope(a, b, shared, wanted, k, (4, 500000), (4, 10000));
            var found = Matrix(made[name], modelWidth);
            for (var i = 0; i < wanted.Length; i++)
                Assert.InRange((expected.Row(i) - found.Row(wanted[i])).L2Norm() / expected.Row(i).L2Norm(), 0, 2e-4);
            foreach (var (from, to) in shared)
                Assert.Equal(b.Row(to), found.Row(from));
        }

        if (method == TransplantMethod.MpRope)
            Assert.All(report, tensor => Assert.InRange(tensor.Residual!.Value, 0.001, 0.999));
    }

    [Fact]
    public void A_turned_row_is_found_with_its_position()
    {
        // The new row is a shared one turned by position 0.3, so the model's new row is the model's shared row turned likewise.
        string[] theirs = [.. Words, "new"];
        var donor = Model("donor", 2, 16, theirs, change: tensors =>
        {
            foreach (var tensor in tensors.Where(tensor => tensor.Name is Embedding or Head))
            {
                for (var row = 0; row < Words.Length; row++)
                    if (row != 7)
                        Store(tensor, 16, row, 0.1 * Matrix(tensor, 16).Row(row));
                Store(tensor, 16, Words.Length, Turned(Matrix(tensor, 16).Row(7), 0.3));
            }
        });
        var model = Model("model", 1, 16, Words);
        var made = LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.MpRope, Neighbours = 1 }, out var report));
        Assert.All(report, tensor => Assert.InRange(tensor.Residual!.Value, 0, 1e-6));
        foreach (var name in new[] { Embedding, Head })
            Assert.InRange((Turned(Matrix(LoadedTensor.LoadAll(model)[name], 16).Row(7), 0.3) - Matrix(made[name], 16).Row(Words.Length)).L2Norm(), 0, 1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Badly_trained_tokens_are_not_shared(bool tied)
    {
        string[] mine = [.. Words, "<|reserved_special_token_1|>", "<|reserved_special_token_2|>"], theirs = [.. Words.Reverse(), "new", "[unused_token_9]"];
        var (model, donor) = (Model("model", 1, 16, mine, tied: tied, spare: 2), Model("donor", 2, 16, theirs, spare: 1));
        var output = Run(model, donor, new TransplantOptions { Method = TransplantMethod.Zero, WellTrainedOnly = true }, out var report);
        var (own, other, made) = (LoadedTensor.LoadAll(model), LoadedTensor.LoadAll(donor), LoadedTensor.LoadAll(output));
        var good = TransplantReference.WellTrained(Matrix(own[Embedding], 16), tied ? null : Matrix(own[Head], 16), Ids(mine));
        var theirGood = TransplantReference.WellTrained(Matrix(other[Embedding], 16), Matrix(other[Head], 16), Ids(theirs));
        var (kept, untrained) = (0, 0);
        for (var row = 0; row < theirs.Length; row++)
        {
            var from = Array.IndexOf(mine, theirs[row]);
            var isKept = from >= 0 && good.Contains(from) && theirGood.Contains(row);
            kept += isKept ? 1 : 0;
            untrained += (from < 0 || !good.Contains(from)) && !theirGood.Contains(row) ? 1 : 0;
            Assert.Equal(isKept ? Matrix(own[Embedding], 16).Row(from) : Vector<double>.Build.Dense(16), Matrix(made[Embedding], 16).Row(row));
        }

        Assert.InRange(kept, 40, Words.Length - 3);
        Assert.Equal(kept, report[0].Matched[TokenMatch.Text]);
        Assert.Equal(untrained, report[0].Matched[TokenMatch.Untrained]);
    }

    [Fact]
    public void What_rotary_pursuit_needs_is_said()
    {
        var (model, donor) = (Model("model", 1, 16, Words), Model("donor", 2, 16, [.. Words, "new"], ("num_attention_heads", "3")));
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(donor, "config.json")))!.AsObject();
        (config["head_dim"], config["num_key_value_heads"]) = (8, 3);
        File.WriteAllText(Path.Combine(donor, "config.json"), config.ToJsonString());
        using var transplant = Transplant.Prepare(model, donor, new TransplantOptions { Method = TransplantMethod.MpRope }, new PlanOptions());
        Assert.False(transplant.Plan.IsExecutable);
        Assert.Contains("heads of an even size", string.Join("\n", transplant.Plan.Problems.Where(problem => problem.Severity == Severity.Error)), StringComparison.Ordinal);
    }

    private static Dictionary<string, int> Ids(string[] tokens) => tokens.Select((token, id) => (token, id)).ToDictionary(pair => pair.token, pair => pair.id);

    private static Matrix<double> Matrix(LoadedTensor tensor, int width) => Matrix<double>.Build.DenseOfRowMajor((int)tensor.Count / width, width, tensor.Values());

    private static Vector<double> Turned(Vector<double> x, double position)
    {
        var y = x.Clone();
        for (var head = 0; head < 4; head++)
            for (var i = 0; i < 2; i++)
            {
                var (p, q, angle) = (4 * head + i, 4 * head + 2 + i, position * Math.Pow(10000, -i / 2.0));
                (y[p], y[q]) = (x[p] * Math.Cos(angle) - x[q] * Math.Sin(angle), x[p] * Math.Sin(angle) + x[q] * Math.Cos(angle));
            }

        return y;
    }

    private static void Store(LoadedTensor tensor, int width, int row, Vector<double> values)
    {
        for (var i = 0; i < width; i++)
            BitConverter.TryWriteBytes(tensor.Bytes.AsSpan(4 * (row * width + i)), (float)values[i]);
    }

    private string Run(string model, string donor, TransplantOptions options, out IReadOnlyList<TransplantedTensor> report)
    {
        using var transplant = Transplant.Prepare(model, donor, options, new PlanOptions { Threads = 2 });
        Assert.True(transplant.Plan.IsExecutable, string.Join("\n", transplant.Plan.Problems));
        transplant.Solve(new TransplantProgress(), CancellationToken.None);
        new MergeRunner(transplant.Plan, new MergeProgress()).Run(_folder.Join("out"), ResumeMode.Never, _ => new Dictionary<string, string>(), CancellationToken.None);
        report = transplant.Report;
        return _folder.Join("out");
    }

    private string Model(string name, int seed, int width, string[] tokens, (string Key, string Value)? setting = null, Action<List<LoadedTensor>>? change = null, bool tied = false, int spare = 0)
    {
        var folder = SyntheticModel.Llama(_folder.Join(name), seed, DType.F32, layers: 1, hidden: width, vocabulary: tokens.Length + spare, inner: 8);
        var tensors = LoadedTensor.LoadAll(folder).Values.Where(tensor => !tied || tensor.Name != Head).ToList();
        change?.Invoke(tensors);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();
        config["tie_word_embeddings"] = tied;
        if (setting is var (key, value))
            config[key] = System.Text.Json.Nodes.JsonNode.Parse(value);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), TokenizerJson.File(
            $$$"""{"type":"WordLevel","unk_token":"{{{tokens[0]}}}","vocab":{{{{string.Join(",", tokens.Select((token, id) => $"\"{token}\":{id}"))}}}}}""",
            preTokenizer: """{"type":"WhitespaceSplit"}"""));
        return folder;
    }
}
