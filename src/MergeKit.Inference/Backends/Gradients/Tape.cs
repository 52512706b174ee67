using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>The steps of a forward pass in order, each with what carries gradients back over it: reverse-mode differentiation. It can be walked back more
/// than once, with the gradients of different losses.</summary>
internal sealed class Tape(WorkerPool pool, ParameterGradients parameters)
{
    private readonly List<Action> _steps = [];
    private readonly List<TapeValue> _values = [];

    /// <summary>Who works.</summary>
    public WorkerPool Pool => pool;

    /// <summary>Memory of steps.</summary>
    public KeptArrays Arrays { get; } = new();

    /// <summary>Where gradients of weights are added up.</summary>
    public ParameterGradients Parameters => parameters;

    /// <summary>Room for what a step makes, zero; gone with the pass.</summary>
    public TapeValue Value(int rows, int columns)
    {
        var value = new TapeValue(rows, columns, Arrays);
        _values.Add(value);
        return value;
    }

    /// <summary>Notes a step.</summary>
    /// <param name="output">What it made; its gradient is complete when the step is walked back, and forgotten after.</param>
    /// <param name="back">Adds to the gradients of what it read.</param>
    public TapeValue Record(TapeValue output, Action back)
    {
        _steps.Add(() =>
        {
            if (!output.HasGradient)
                return;
            back();
            output.Forget();
        });
        return output;
    }

    /// <summary>Walks back from the values whose gradients have been set.</summary>
    public void Back()
    {
        for (var step = _steps.Count - 1; step >= 0; step--)
            _steps[step]();
    }

    /// <summary>Begins another pass, in the memory of the one before.</summary>
    public void Clear()
    {
        _steps.Clear();
        foreach (var value in _values)
            value.Release();
        _values.Clear();
        Arrays.Trim();
    }
}
