using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Ensembles;

/// <summary>The loss of word-level distillation at one position (Hinton et al. 2015; Kim and Rush 2016): (1 - alpha) CE(gold, T = 1) + alpha T^2 KL(teacher || student at T).</summary>
/// <param name="Kl">KL(teacher || student), both at temperature T.</param>
/// <param name="CrossEntropy">-sum teacher x ln student, both at T.</param>
/// <param name="GoldNll">-ln student(gold) at T = 1.</param>
/// <param name="Loss">The weighted sum.</param>
public sealed record WordDistillation(double Kl, double CrossEntropy, double GoldNll, double Loss)
{
    /// <summary>The teacher at a temperature: a linear ensemble of the members, each log-softmax(z / T). Errors: no member, weights below 0 or of sum 0.</summary>
    public static double[] Teacher(IReadOnlyList<IReadOnlyList<double>> members, IReadOnlyList<double> weights, double temperature)
    {
        CheckTemperature(temperature);
        if (members.Count == 0 || members.Count != weights.Count || weights.Any(weight => !(weight >= 0)) || !(weights.Sum() > 0)
            || members.Any(row => row.Count != members[0].Count))
            throw new InputException($"a teacher of {members.Count} members with the weights [{string.Join(", ", weights)}]; wanted one weight of at least 0 for each, not all 0");
        var total = weights.Sum();
        var rows = members.Select(row => LogSoftmax(row, temperature)).ToArray();
        return [.. Enumerable.Range(0, members[0].Count).Select(v => Math.Log(rows.Select((row, k) => weights[k] / total * Math.Exp(row[v])).Sum()))];
    }

    /// <summary>The loss of a student's logits against a teacher's log-probabilities at the same temperature. Where the teacher's are -inf they do not count.</summary>
    public static WordDistillation Of(IReadOnlyList<double> teacherLogProbs, IReadOnlyList<double> studentLogits, int gold, double temperature, double alpha)
    {
        CheckTemperature(temperature);
        if (teacherLogProbs.Count != studentLogits.Count || gold < 0 || gold >= studentLogits.Count || !(alpha is >= 0 and <= 1))
            throw new InputException(
                $"{teacherLogProbs.Count} teacher and {studentLogits.Count} student values, gold {gold}, alpha {alpha}; wanted equal lengths, a gold id within them, alpha from 0 to 1");
        var student = LogSoftmax(studentLogits, temperature);
        var (kl, cross) = (0.0, 0.0);
        for (var v = 0; v < student.Length; v++)
        {
            var p = Math.Exp(teacherLogProbs[v]);
            if (p == 0)
                continue;
            kl += p * (teacherLogProbs[v] - student[v]);
            cross -= p * student[v];
        }

        var nll = -LogSoftmax(studentLogits, 1)[gold];
        return new WordDistillation(kl, cross, nll, Total(nll, kl, temperature, alpha));
    }

    /// <summary>(1 - alpha) nll + alpha T^2 kl.</summary>
    public static double Total(double nll, double kl, double temperature, double alpha) => ((1 - alpha) * nll) + (alpha * temperature * temperature * kl);

    /// <summary>log-softmax(z / T).</summary>
    public static double[] LogSoftmax(IReadOnlyList<double> logits, double temperature)
    {
        var most = logits.Max() / temperature;
        var total = most + Math.Log(logits.Sum(logit => Math.Exp((logit / temperature) - most)));
        return [.. logits.Select(logit => (logit / temperature) - total)];
    }

    private static void CheckTemperature(double temperature)
    {
        if (!(temperature > 0) || double.IsInfinity(temperature))
            throw new InputException($"temperature {temperature}; wanted a number above 0");
    }
}
