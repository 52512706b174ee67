using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Merging.Transplanting;
using MergeKit.Core.Numerics;
using MergeKit.Core.Tests.Tokenization;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Tests.Merging.Transplanting;

/// <summary>Tokenizers transplanted between small models whose right rows are known.</summary>
public sealed class TransplantTests : IDisposable
{
    private const int Hidden = 8;
    private const string Embedding = "model.embed_tokens.weight", Head = "lm_head.weight";
    private static readonly string[] Words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Shared_tokens_keep_their_rows_and_other_tensors_their_bytes()
    {
        var (model, donor) = (Model("model", 1, Words), Model("donor", 2, [.. Words.Reverse(), "new"]));
        var output = Run(model, donor, new TransplantOptions { Neighbours = 3 }, out var report);
        var (old, made) = (LoadedTensor.LoadAll(model), LoadedTensor.LoadAll(output));
        foreach (var name in new[] { Embedding, Head })
            for (var i = 0; i < Words.Length; i++)
                Assert.Equal(Row(old[name], i), Row(made[name], Words.Length - 1 - i));
        Assert.All(old.Keys.Except([Embedding, Head]), name => Assert.Equal(old[name].Bytes, made[name].Bytes));
        Assert.Equal(File.ReadAllText(Path.Combine(donor, "tokenizer.json")), File.ReadAllText(Path.Combine(output, "tokenizer.json")));
        Assert.All(report, tensor => Assert.Equal((12, 1), (tensor.Matched[TokenMatch.Text], tensor.Matched[TokenMatch.New])));
    }

    [Theory]
    [InlineData(TransplantMethod.Omp, NeighbourWeights.DistanceProportional)]
    [InlineData(TransplantMethod.CommonInterpolation, NeighbourWeights.LeastSquares)]
    public void A_combination_of_shared_rows_carries_over(TransplantMethod method, NeighbourWeights weights)
    {
        var donor = Model("donor", 2, [.. Words, "new"], tensors => Combine(tensors, 12, (3, 0.5f), (7, -2f)));
        var output = Run(Model("model", 1, Words), donor, new TransplantOptions { Method = method, Weights = weights, Neighbours = method == TransplantMethod.Omp ? 8 : 12 }, out var report);
        if (method == TransplantMethod.CommonInterpolation)
        {
            Assert.All(report, tensor => Assert.InRange(tensor.Residual!.Value, 0, 1e-3)); // twelve rows of eight elements: more than one combination fits
            return;
        }

        var (old, made) = (LoadedTensor.LoadAll(_folder.Join("model")), LoadedTensor.LoadAll(output));
        foreach (var name in new[] { Embedding, Head })
        {
            var expected = Row(old[name], 3).Zip(Row(old[name], 7), (x, y) => 0.5 * x - 2 * y);
            Assert.All(expected.Zip(Row(made[name], 12)), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        }
    }

    [Theory]
    [InlineData(NeighbourWeights.DistanceProportional, false)]
    [InlineData(NeighbourWeights.DistanceProportional, true)]
    [InlineData(NeighbourWeights.Barycentric, false)]
    public void Weights_of_neighbours_add_up_to_one(NeighbourWeights weights, bool cosine)
    {
        var donor = Model("donor", 2, [.. Words, "new"], tensors => Combine(tensors, 12, (3, 1.001f)));
        var model = Model("model", 1, Words, tensors => tensors.ForEach(Ones));
        var output = Run(model, donor, new TransplantOptions { Method = TransplantMethod.CommonInterpolation, Weights = weights, Cosine = cosine, Neighbours = 4 }, out _);
        Assert.All(Row(LoadedTensor.LoadAll(output)[Embedding], 12), value => Assert.Equal(1, value, 1e-4));
    }

    [Theory]
    [InlineData(SubwordWeights.Mean, 1 / 3.0, 1 / 3.0, 1 / 3.0, 1 / 3.0)]
    [InlineData(SubwordWeights.Sum, 1, 1, 1, 1)]
    [InlineData(SubwordWeights.WeightedMean, 1 / 6.0, 3 / 6.0, 3 / 6.0, 1 / 6.0)]
    [InlineData(SubwordWeights.FirstLast, 0, 1, 1, 0)]
    public void Subwords_are_the_pieces_of_the_models_own_tokenizer(SubwordWeights weights, double first, double last, double headFirst, double headLast)
    {
        var model = Bytes("model", 1, [("a", "b")]);
        var donor = Bytes("donor", 2, [("c", "d"), ("cd", "e")]); // "cde" is three bytes to the model
        var output = Run(model, donor, new TransplantOptions { Method = TransplantMethod.Subword, Subword = weights }, out _);
        var (old, made) = (LoadedTensor.LoadAll(model), LoadedTensor.LoadAll(output));
        foreach (var (name, begin, end) in new[] { (Embedding, first, last), (Head, headFirst, headLast) })
        {
            var middle = weights switch { SubwordWeights.Sum => 1, SubwordWeights.FirstLast => 0, _ => 1 / 3.0 };
            var expected = Enumerable.Range(0, Hidden).Select(i => begin * Row(old[name], 'c')[i] + middle * Row(old[name], 'd')[i] + end * Row(old[name], 'e')[i]);
            Assert.All(expected.Zip(Row(made[name], 257)), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        }
    }

    [Fact]
    public void Mean_and_zero()
    {
        var (model, donor) = (Model("model", 1, Words), Model("donor", 2, [.. Words, "new"]));
        var old = LoadedTensor.LoadAll(model)[Embedding];
        var mean = Row(LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.Mean }, out _, "mean"))[Embedding], 12);
        for (var i = 0; i < Hidden; i++)
            Assert.Equal(Enumerable.Range(0, 12).Average(row => Row(old, row)[i]), mean[i], 1e-6);
        Assert.All(Row(LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.Zero }, out _, "zero"))[Embedding], 12), value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_linear_map_between_the_spaces_carries_over()
    {
        // The model's rows are the donor's through one matrix and an offset, so the new token's are too.
        string[] many = [.. Words, .. Words.Select(word => word + word)];
        var (map, offset) = (new SplitMix(4).Array(Hidden * Hidden), new SplitMix(5).Array(Hidden));
        var donor = Model("donor", 2, [.. many, "new"]);
        var theirs = LoadedTensor.LoadAll(donor);
        var model = Model("model", 1, many, tensors => Map(tensors, theirs));
        var made = LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.LandmarkPca }, out _));
        foreach (var name in new[] { Embedding, Head })
        {
            var wanted = Image(Row(theirs[name], many.Length));
            Assert.All(wanted.Zip(Row(made[name], many.Length)), pair => Assert.Equal(pair.First, pair.Second, 1e-3));
        }

        double[] Image(double[] x) => [.. Enumerable.Range(0, Hidden).Select(j => offset[j] + Enumerable.Range(0, Hidden).Sum(i => x[i] * map[i * Hidden + j]))];

        void Map(List<LoadedTensor> tensors, SortedDictionary<string, LoadedTensor> from)
        {
            foreach (var tensor in tensors.Where(tensor => tensor.Name is Embedding or Head))
                for (var row = 0; row < many.Length; row++)
                    for (var j = 0; j < Hidden; j++)
                        BitConverter.TryWriteBytes(tensor.Bytes.AsSpan(4 * (row * Hidden + j)), (float)Image(Row(from[tensor.Name], row))[j]);
        }
    }

    [Fact]
    public void Drawn_rows_have_the_mean_and_covariance_of_the_models()
    {
        string[] added = [.. Enumerable.Range(0, 4000).Select(i => $"new{i}")];
        var (model, donor) = (Model("model", 1, Words), Model("donor", 2, [.. Words, .. added]));
        var old = LoadedTensor.LoadAll(model)[Embedding];
        var made = LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.JohnHewitt, Seed = 3 }, out _))[Embedding];
        var (own, drawn) = (Moments(old, 0, 12), Moments(made, 12, 4000));
        for (var i = 0; i < Hidden; i++)
        {
            Assert.Equal(own.Mean[i], drawn.Mean[i], 0.08 * Math.Sqrt(own.Covariance[i, i]));
            for (var j = 0; j < Hidden; j++)
                Assert.Equal(own.Covariance[i, j], drawn.Covariance[i, j], 0.1 * Math.Sqrt(own.Covariance[i, i] * own.Covariance[j, j]));
        }

        var again = LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.JohnHewitt, Seed = 3 }, out _, "again", 1))[Embedding];
        Assert.Equal(made.Values(), again.Values(), (a, b) => Math.Abs(a - b) < 1e-6);
        var noise = LoadedTensor.LoadAll(Run(model, donor, new TransplantOptions { Method = TransplantMethod.Randn }, out _, "noise"))[Embedding];
        var (square, wanted) = (noise.Values().Skip(12 * Hidden).Average(x => x * x), old.Values().Average(x => x * x));
        Assert.Equal(wanted, square, 0.05 * wanted);
    }

    private static (double[] Mean, double[,] Covariance) Moments(LoadedTensor tensor, int first, int count)
    {
        var rows = Enumerable.Range(first, count).Select(row => Row(tensor, row)).ToList();
        var mean = Enumerable.Range(0, Hidden).Select(i => rows.Average(row => row[i])).ToArray();
        var covariance = new double[Hidden, Hidden];
        for (var i = 0; i < Hidden; i++)
            for (var j = 0; j < Hidden; j++)
                covariance[i, j] = rows.Average(row => (row[i] - mean[i]) * (row[j] - mean[j]));
        return (mean, covariance);
    }

    [Fact]
    public void The_result_depends_neither_on_threads_nor_on_memory_for_products()
    {
        var (model, donor) = (Model("model", 1, Words), Model("donor", 2, [.. Words, "new", "newer", "newest"]));
        var bytes = new[] { (1, long.MaxValue), (4, 0L) }.Select(pair =>
            File.ReadAllBytes(Path.Combine(Run(model, donor, new TransplantOptions { Neighbours = 5, ProductBytes = pair.Item2 }, out _, $"t{pair.Item1}", pair.Item1), "model.safetensors"))).ToList();
        Assert.Equal(LoadedTensor.LoadAll(_folder.Join("t1"))[Embedding].Values(), LoadedTensor.LoadAll(_folder.Join("t4"))[Embedding].Values(), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(bytes[0].Length, bytes[1].Length);
    }

    [Theory]
    [InlineData("bytes", "\u0120the", TokenTextKind.Text, " the")]
    [InlineData("bytes", "\u00c3\u00a9", TokenTextKind.Text, "\u00e9")]
    [InlineData("bytes", "\u00c3", TokenTextKind.Bytes, "\u00c3")]
    [InlineData("metaspace", "\u2581the", TokenTextKind.Text, " the")]
    [InlineData("metaspace", "<0x0A>", TokenTextKind.Bytes, "\n")]
    [InlineData("bytes", "<|end|>", TokenTextKind.Special, "<|end|>")]
    public void Tokens_are_compared_by_the_text_they_stand_for(string kind, string token, TokenTextKind wanted, string text)
    {
        var added = $"[{TokenizerJson.Added(256, "<|end|>")}]";
        var tokenizer = Tokenizer.Parse("t", kind == "bytes" ? TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(), added)
            : TokenizerJson.File("""{"type":"BPE","vocab":{"a":0},"merges":[]}""", decoder: """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"}"""));
        var found = TokenText.Of(tokenizer, token);
        Assert.Equal(new TokenText(wanted, text), found);
        if (wanted == TokenTextKind.Text)
            Assert.Equal(token, found.SpelledFor(tokenizer.Kind));
    }

    [Fact]
    public void What_cannot_be_done_is_said()
    {
        var (model, donor) = (Model("model", 1, ["p", "q"]), Model("donor", 2, Words));
        Assert.Contains("have no token in common", Refused(model, donor), StringComparison.Ordinal);
        File.Delete(Path.Combine(donor, "tokenizer.json"));
        Assert.Contains("has no tokenizer.json", Refused(model, donor), StringComparison.Ordinal);
        Assert.Contains("there is no such folder", Refused(model, _folder.Join("nowhere")), StringComparison.Ordinal);
    }

    private static string Refused(string model, string donor)
    {
        using var transplant = Transplant.Prepare(model, donor, new TransplantOptions(), new PlanOptions());
        Assert.False(transplant.Plan.IsExecutable);
        return string.Join("\n", transplant.Plan.Problems.Where(problem => problem.Severity == Severity.Error));
    }

    private string Run(string model, string donor, TransplantOptions options, out IReadOnlyList<TransplantedTensor> report, string name = "out", int threads = 2)
    {
        using var transplant = Transplant.Prepare(model, donor, options, new PlanOptions { Threads = threads });
        Assert.True(transplant.Plan.IsExecutable, string.Join("\n", transplant.Plan.Problems));
        transplant.Solve(new TransplantProgress(), CancellationToken.None);
        new MergeRunner(transplant.Plan, new MergeProgress()).Run(_folder.Join(name), ResumeMode.Never, _ => new Dictionary<string, string>(), CancellationToken.None);
        report = transplant.Report;
        return _folder.Join(name);
    }

    private string Model(string name, int seed, string[] tokens, Action<List<LoadedTensor>>? change = null) => Write(name, seed, tokens.Length, TokenizerJson.File(
        $$$"""{"type":"WordLevel","unk_token":"a","vocab":{{{{string.Join(",", tokens.Select((token, id) => $"\"{token}\":{id}"))}}}}}""",
        preTokenizer: """{"type":"WhitespaceSplit"}"""), change);

    private string Bytes(string name, int seed, (string, string)[] merges) =>
        Write(name, seed, 256 + merges.Length, TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(merges)), null);

    private string Write(string name, int seed, int rows, string tokenizer, Action<List<LoadedTensor>>? change)
    {
        var folder = SyntheticModel.Llama(_folder.Join(name), seed, DType.F32, layers: 1, hidden: Hidden, vocabulary: rows, inner: 8);
        var tensors = LoadedTensor.LoadAll(folder).Values.ToList();
        change?.Invoke(tensors);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), tokenizer);
        return folder;
    }

    /// <summary>Makes a row of embedding and head a combination of others.</summary>
    private static void Combine(List<LoadedTensor> tensors, int target, params (int Row, float Factor)[] terms)
    {
        foreach (var tensor in tensors.Where(tensor => tensor.Name is Embedding or Head))
            for (var i = 0; i < Hidden; i++)
                BitConverter.TryWriteBytes(tensor.Bytes.AsSpan(4 * (target * Hidden + i)), (float)terms.Sum(term => term.Factor * Row(tensor, term.Row)[i]));
    }

    private static void Ones(LoadedTensor tensor)
    {
        for (var i = 0; i < tensor.Count; i++)
            BitConverter.TryWriteBytes(tensor.Bytes.AsSpan(4 * i), 1f);
    }

    private static double[] Row(LoadedTensor tensor, int row) => [.. tensor.Values().Skip(row * Hidden).Take(Hidden)];
}
