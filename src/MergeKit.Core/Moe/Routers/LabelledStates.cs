using System.Numerics.Tensors;

namespace MergeKit.Core.Moe.Routers;

/// <summary>States of one layer with the expert that each ought to go to; part of the sequences is held out of the fit.</summary>
/// <param name="width">Elements of a state.</param>
internal sealed class LabelledStates(int width)
{
    private readonly List<float[]> _fitted = [], _held = [];
    private readonly List<int> _labels = [];

    /// <summary>Adds a state.</summary>
    public void Add(ReadOnlySpan<float> state, int label, bool held)
    {
        (held ? _held : _fitted).Add(state.ToArray());
        if (!held)
            _labels.Add(label);
    }

    /// <summary>Rows by ridge regression, the ridge being a share of the mean diagonal of H^T H, at the scale that <paramref name="scale"/> gives for held-out logits.</summary>
    public double[][] Fit(int experts, double ridge, Func<IReadOnlyList<double[]>, double> scale)
    {
        var states = Flat(_fitted);
        var alpha = ridge * TensorPrimitives.SumOfSquares<float>(states) / width;
        var rows = RidgeRouter.Solve<float>(states, width, RidgeRouter.Targets(_labels, experts), Math.Max(alpha, 1e-12));
        return Scaled(rows, scale(Held(rows)));
    }

    /// <summary>Given rows without the mean state's direction, scaled.</summary>
    public double[][] Calibrate(double[][] rows, Func<IReadOnlyList<double[]>, double> scale)
    {
        var mean = new double[width];
        foreach (var state in _fitted)
            for (var i = 0; i < width; i++)
                mean[i] += state[i] / (double)_fitted.Count;
        GateCalibration.RemoveMean(rows, mean);
        return Scaled(rows, scale(Held(rows)));
    }

    /// <summary>Logits of the held-out states (of all, where none is held out).</summary>
    public IReadOnlyList<double[]> Held(double[][] rows) => RouterSurvey.Logits(rows, Flat(_held.Count > 0 ? _held : _fitted));

    private float[] Flat(List<float[]> states)
    {
        var flat = new float[checked(states.Count * width)];
        for (var i = 0; i < states.Count; i++)
            states[i].CopyTo(flat.AsSpan(i * width));
        return flat;
    }

    private static double[][] Scaled(double[][] rows, double scale)
    {
        foreach (var row in rows)
            TensorPrimitives.Multiply(row, scale, row);
        return rows;
    }
}
