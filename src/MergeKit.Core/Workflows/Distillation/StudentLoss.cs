using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Workflows.Distillation;

/// <summary>A mean per answer token with its 95 % interval.</summary>
public sealed record MeanWithInterval(double Value, Interval? Interval);

/// <summary>A student's losses against a teacher's data, per answer token, in nats.</summary>
/// <param name="Loss">(1 - alpha) CE + alpha T^2 KL.</param>
/// <param name="CrossEntropy">-ln student(token) at temperature 1, over the texts' own tokens.</param>
/// <param name="Kl">KL(teacher || student) at the teacher's temperature; all tokens outside the teacher's top M count as one, so it is a lower bound, exact where M is the vocabulary.</param>
/// <param name="Agreement">Share of positions where both have the same most probable token.</param>
/// <param name="TailMass">The teacher's mean mass outside its top M: how much the bound may hide.</param>
/// <param name="Sequences">Number of sequences; intervals are bootstrapped over them.</param>
/// <param name="Positions">Number of answer tokens.</param>
/// <param name="PerSequence">Loss, cross entropy and KL of each sequence, per token.</param>
public sealed record StudentReport(
    MeanWithInterval Loss, MeanWithInterval CrossEntropy, MeanWithInterval Kl, double Agreement, double TailMass, int Sequences, int Positions,
    IReadOnlyList<(double Loss, double CrossEntropy, double Kl)> PerSequence);

/// <summary>Computes distillation losses; training is not part of it.</summary>
public static class StudentLoss
{
    private const int BlockFloats = 1 << 20;

    /// <summary>Runs the student over the teacher's sequences. Errors: another tokenizer, alpha outside [0, 1], sequences longer than the student holds.</summary>
    public static StudentReport Run(EvaluatedModel student, TeacherData data, double alpha)
    {
        if (!(alpha is >= 0 and <= 1))
            throw new InputException($"alpha is {alpha}; wanted a number from 0 to 1");
        if (student.TokenizerId != data.TokenizerId)
            throw new InputException($"{student.Name}: has another tokenizer than the teacher '{data.Teacher}'; word-level distillation needs the same ids");
        if (student.Model.VocabularySize < data.VocabularySize)
            throw new InputException($"{student.Name}: has {student.Model.VocabularySize} ids, the teacher {data.VocabularySize}");
        var (kl, nll, agrees) = Losses(student.Model, data);
        var (sums, tokens) = (new (double Kl, double Nll)[data.Sequences], new double[data.Sequences]);
        for (int i = 0, t = 0; i < data.Sequences; i++)
        {
            tokens[i] = data.Sequence(i).Length - data.PromptLengths[i];
            for (var end = t + (int)tokens[i]; t < end; t++)
                sums[i] = (sums[i].Kl + kl[t], sums[i].Nll + nll[t]);
        }

        double Total(double crossEntropy, double divergence) => WordDistillation.Total(crossEntropy, divergence, data.Temperature, alpha);
        MeanWithInterval Mean(Func<(double Kl, double Nll), double> of)
        {
            double[] numerators = [.. sums.Select(of)];
            return new MeanWithInterval(RatioBootstrap.Ratio(numerators, tokens), RatioBootstrap.Interval95(numerators, tokens, draws: 2000));
        }

        return new StudentReport(
            Mean(sum => Total(sum.Nll, sum.Kl)), Mean(sum => sum.Nll), Mean(sum => sum.Kl), agrees.Average(same => same ? 1.0 : 0.0),
            data.TailLogProbs.Average(tail => Math.Exp(tail)), data.Sequences, data.Positions,
            [.. sums.Zip(tokens, (sum, count) => (Total(sum.Nll, sum.Kl) / count, sum.Nll / count, sum.Kl / count))]);
    }

    private static (double[] Kl, double[] Nll, bool[] Agrees) Losses(ILanguageModel student, TeacherData data)
    {
        ScoreRequest[] requests = [.. Enumerable.Range(0, data.Sequences).Select(i =>
        {
            int[] ids = Array.ConvertAll(data.Sequence(i).ToArray(), id => (int)id);
            return new ScoreRequest(ids.AsMemory(0, (int)data.PromptLengths[i]), ids.AsMemory((int)data.PromptLengths[i]));
        })];
        int[] gold = [.. requests.SelectMany(request => request.Continuation.ToArray())];
        var (kl, nll, agrees) = (new double[gold.Length], new double[gold.Length], new bool[gold.Length]);
        var size = student.VocabularySize;
        var block = Math.Clamp(BlockFloats / size, 1, gold.Length);
        var logits = new float[block * size];
        using var plain = student.Rows(requests);
        for (var first = 0; first < gold.Length; first += block)
        {
            var count = Math.Min(block, gold.Length - first);
            plain.Read(first, logits.AsSpan(0, count * size));
            for (var i = 0; i < count; i++)
            {
                var row = logits.AsSpan(i * size, data.VocabularySize);
                nll[first + i] = RowMath.LogSumExp<float>(row) - row[gold[first + i]];
                agrees[first + i] = RowMath.ArgMax<float>(row) == data.TopIds[(long)(first + i) * data.Top];
            }
        }

        using var tempered = TemperedRows.Open(student, requests, data.Temperature);
        for (var first = 0; first < gold.Length; first += block)
        {
            var count = Math.Min(block, gold.Length - first);
            tempered.Read(first, logits.AsSpan(0, count * size));
            for (var i = 0; i < count; i++)
                kl[first + i] = Divergence(logits.AsSpan(i * size, data.VocabularySize), data, first + i);
        }

        return (kl, nll, agrees);
    }

    /// <summary>KL over the top M and one event for all the rest.</summary>
    private static double Divergence(ReadOnlySpan<float> student, TeacherData data, int position)
    {
        var total = RowMath.LogSumExp(student);
        var (kl, covered) = (0.0, 0.0);
        for (var j = 0; j < data.Top; j++)
        {
            var (id, teacher) = (data.TopIds[((long)position * data.Top) + j], (double)data.TopLogProbs[((long)position * data.Top) + j]);
            var own = student[(int)id] - total;
            covered += Math.Exp(own);
            kl += Math.Exp(teacher) * (teacher - own);
        }

        double tail = data.TailLogProbs[position];
        return double.IsNegativeInfinity(tail) ? kl : kl + (Math.Exp(tail) * (tail - Math.Log(Math.Max(1 - covered, 1e-12))));
    }
}
