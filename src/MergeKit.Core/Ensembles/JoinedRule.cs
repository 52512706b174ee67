using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>An ensemble's rule as those who compute the rows can carry it out: per run, not per place.</summary>
internal sealed class JoinedRule
{
    private readonly IJoinableCombiner _combiner;
    private readonly Ensemble _ensemble;

    private JoinedRule(Ensemble ensemble, IJoinableCombiner combiner, LawForm form) => (_ensemble, _combiner, Form) = (ensemble, combiner, form);

    /// <summary>The rule.</summary>
    public LawForm Form { get; }

    /// <summary>The rule of an ensemble; null where its combiner has no such form, or where one model stands both for and against.</summary>
    public static JoinedRule? Of(Ensemble ensemble) => ensemble.Combiner is IJoinableCombiner { Form: { } form } combiner
        && (double.IsNegativeInfinity(form.NegativeFloor) || ensemble.RunOf.Where(run => run >= 0).Distinct().Count() == ensemble.RunOf.Count(run => run >= 0))
        ? new JoinedRule(ensemble, combiner, form) : null;

    /// <summary>The laws of one place.</summary>
    public LawCombination At(in StepContext step)
    {
        var coefficients = new float[_ensemble.Runs.Length];
        Write(step, coefficients);
        return new LawCombination(Form, _ensemble.VocabularySize, coefficients);
    }

    /// <summary>The laws of several rows.</summary>
    public LawCombination At(StepTable steps, int first, int count)
    {
        var coefficients = new float[count * _ensemble.Runs.Length];
        for (var row = 0; row < count; row++)
            Write(steps[first + row], coefficients.AsSpan(row * _ensemble.Runs.Length, _ensemble.Runs.Length));
        return new LawCombination(Form, _ensemble.VocabularySize, coefficients);
    }

    /// <summary>A model in several places counts by the sum of its coefficients, or of its weights.</summary>
    private void Write(in StepContext step, Span<float> coefficients)
    {
        Span<double> places = stackalloc double[_combiner.Members];
        _combiner.Coefficients(step, places);
        for (var run = 0; run < coefficients.Length; run++)
        {
            var sum = 0.0;
            for (var k = 0; k < places.Length; k++)
                if (_ensemble.RunOf[k] == run)
                    sum += Form.Rule == LawRule.Mixture ? Math.Exp(places[k]) : places[k];
            coefficients[run] = (float)(Form.Rule == LawRule.Mixture ? Math.Log(sum) : sum);
        }
    }
}
