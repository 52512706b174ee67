using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Tests.Evaluation;
using MergeKit.Core.Workflows.Distillation;

namespace MergeKit.Core.Tests.Workflows.Distillation;

/// <summary>Distillation data and losses against sums written out.</summary>
public sealed class DistillationTests : IDisposable
{
    private static readonly (string Prompt, string Text)[] Texts = [("ab", "cd"), ("12", "345"), ("x", "y")];
    private static readonly BigramModel Teacher = new("teacher", (last, next) => next == last + 1 ? 4 : next % 5 * 0.5f);
    private static readonly BigramModel Student = new("student", (last, next) => next == last + 1 ? 2 : next % 3 * 0.4f);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static EvaluatedModel With(Core.Models.ILanguageModel model, string tokenizer = "characters") => new(model, new CharacterEncoder(), tokenizer);

    private static TeacherData Export(int top, double temperature) => TeacherExport.Run(With(Teacher), Texts, top, temperature);

    /// <summary>Mean KL at a temperature over the answers' positions, from the tables.</summary>
    private static double Divergence(double temperature)
    {
        var (sum, count) = (0.0, 0);
        foreach (var (prompt, text) in Texts)
            for (var i = 0; i < text.Length; i++)
            {
                var last = CharacterEncoder.Id((prompt + text)[prompt.Length + i - 1]);
                double[] Law(BigramModel model) => WordDistillation.LogSoftmax([.. Enumerable.Range(0, CharacterEncoder.Size).Select(id => model.LogProb(last, id))], temperature);
                var (teacher, student) = (Law(Teacher), Law(Student));
                sum += teacher.Zip(student, (t, s) => Math.Exp(t) * (t - s)).Sum();
                count++;
            }

        return sum / count;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void With_the_whole_vocabulary_the_divergence_is_exact(double temperature)
    {
        var report = StudentLoss.Run(With(Student), Export(CharacterEncoder.Size, temperature), 0.3);
        Assert.Equal(Divergence(temperature), report.Kl.Value, 5);
        Assert.Equal(0, report.TailMass);
        Assert.Equal((0.7 * report.CrossEntropy.Value) + (0.3 * temperature * temperature * report.Kl.Value), report.Loss.Value, 10);
        Assert.Equal((3, 6), (report.Sequences, report.Positions));
        Assert.Equal(report.Loss.Value, report.PerSequence.Zip([2, 3, 1], (one, tokens) => one.Loss * tokens).Sum() / 6, 10);
    }

    [Fact]
    public void Fewer_tokens_bound_the_divergence_from_below_and_more_tighten_it()
    {
        var before = 0.0;
        foreach (var top in new[] { 1, 3, 10, 50, CharacterEncoder.Size })
        {
            var kl = StudentLoss.Run(With(Student), Export(top, 1), 1).Kl.Value;
            Assert.InRange(kl, before - 1e-6, Divergence(1) + 1e-5);
            before = kl;
        }
    }

    [Fact]
    public void The_head_falls_and_head_and_tail_make_one()
    {
        var data = Export(7, 1.5);
        for (var t = 0; t < data.Positions; t++)
        {
            var head = data.TopLogProbs.AsSpan(t * 7, 7).ToArray();
            Assert.Equal(head.OrderDescending(), head);
            Assert.Equal(1, head.Sum(value => Math.Exp(value)) + Math.Exp(data.TailLogProbs[t]), 5);
        }
    }

    [Fact]
    public void A_linear_teacher_mixes_its_members_at_the_temperature()
    {
        using var ensemble = new Ensemble("e", [Teacher, Student], new LinearCombiner([0.25, 0.75]));
        var data = TeacherExport.Run(With(ensemble), [("a", "b")], CharacterEncoder.Size, 3);
        double[] Row(BigramModel model) => [.. Enumerable.Range(0, CharacterEncoder.Size).Select(id => model.LogProb(CharacterEncoder.Id('a'), id))];
        var expected = WordDistillation.Teacher([Row(Teacher), Row(Student)], [0.25, 0.75], 3);
        for (var j = 0; j < CharacterEncoder.Size; j++)
            Assert.Equal(expected[data.TopIds[j]], data.TopLogProbs[j], 4);
    }

    [Fact]
    public void A_folder_reads_back_as_it_was_written()
    {
        var data = Export(5, 2);
        TeacherFile.Write(_folder.Join("out"), data, Texts);
        var read = TeacherFile.Read(_folder.Join("out"));
        Assert.Equal((data.Teacher, data.TokenizerId, data.VocabularySize, data.Temperature, data.Top), (read.Teacher, read.TokenizerId, read.VocabularySize, read.Temperature, read.Top));
        Assert.Equal(data.Ids, read.Ids);
        Assert.Equal(data.Starts, read.Starts);
        Assert.Equal(data.PromptLengths, read.PromptLengths);
        Assert.Equal(data.TopIds, read.TopIds);
        Assert.Equal(data.TopLogProbs, read.TopLogProbs);
        Assert.Equal(data.TailLogProbs, read.TailLogProbs);
        Assert.Equal(3, File.ReadAllLines(_folder.Join("out", "sequences.jsonl")).Length);
        Assert.Equal(StudentLoss.Run(With(Student), data, 0.5).Loss, StudentLoss.Run(With(Student), read, 0.5).Loss);
    }

    [Theory]
    [InlineData("\"top\": 5", "\"top\": 6", "top_ids")]
    [InlineData("\"positions\": 6", "\"positions\": 7", "'top_ids'")]
    [InlineData("\"positions\": 6", "\"positions\": 0", "'positions' is 0")]
    [InlineData("\"vocabulary_size\": 98", "\"vocabulary_size\": 3", "'input_ids' has the id")]
    [InlineData("distillation/1", "distillation/9", "'format'")]
    [InlineData("{", "", "not valid JSON")]
    [InlineData("\"teacher\"", "\"preceptor\"", "'teacher' is missing")]
    public void Data_that_do_not_fit_together_are_named(string from, string to, string message)
    {
        TeacherFile.Write(_folder.Join("out"), Export(5, 2), Texts);
        var path = _folder.Join("out", "distillation.json");
        File.WriteAllText(path, File.ReadAllText(path).Replace(from, to, StringComparison.Ordinal));
        Assert.Contains(message, Assert.Throws<InputException>(() => TeacherFile.Read(_folder.Join("out"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_compared_is_refused()
    {
        Assert.Contains("tokenizer", Assert.Throws<InputException>(() => StudentLoss.Run(With(Student, "other"), Export(5, 1), 0.5)).Message, StringComparison.Ordinal);
        Assert.Contains("alpha is 2", Assert.Throws<InputException>(() => StudentLoss.Run(With(Student), Export(5, 1), 2)).Message, StringComparison.Ordinal);
        Assert.Contains("top is 0", Assert.Throws<InputException>(() => Export(0, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<InputException>(() => TeacherFile.Read(_folder.Join("none"))).Message, StringComparison.Ordinal);
        Assert.Contains("example 1", Assert.Throws<InputException>(() => TeacherExport.Run(With(Teacher), [("a", "")], 5, 1)).Message, StringComparison.Ordinal);
    }
}
