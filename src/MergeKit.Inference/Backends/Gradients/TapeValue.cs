namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Activations [rows, columns] at one point of a pass; on the way back also d loss / d them. Written once, then only read.</summary>
/// <param name="rows">Rows.</param>
/// <param name="columns">Columns.</param>
/// <param name="arrays">Where memory comes from and goes to.</param>
internal sealed class TapeValue(int rows, int columns, KeptArrays arrays)
{
    private float[]? _gradient;

    public int Rows => rows;

    public int Columns => columns;

    public float[] Data { get; private set; } = arrays.Take(checked(rows * columns));

    /// <summary>d loss / d <see cref="Data"/>, to be added to.</summary>
    public float[] Gradient => _gradient ??= arrays.Take(Data.Length);

    /// <summary>Whether anything has been added to the gradient.</summary>
    public bool HasGradient => _gradient is not null;

    public Span<float> Row(int row) => Data.AsSpan(row * columns, columns);

    public Span<float> GradientRow(int row) => Gradient.AsSpan(row * columns, columns);

    /// <summary>Forgets the gradient: it has been passed on.</summary>
    public void Forget()
    {
        if (_gradient is not null)
            arrays.Give(_gradient);
        _gradient = null;
    }

    /// <summary>Gives up everything; the value must not be read again.</summary>
    public void Release()
    {
        Forget();
        arrays.Give(Data);
        Data = [];
    }
}

/// <summary>A name for the value that a step left last: what the forward pass overwrites becomes another value here.</summary>
internal sealed class TapeBuffer : IBuffer
{
    private TapeValue? _value;

    public int Rows => Value.Rows;

    public int Columns => Value.Columns;

    public TapeValue Value
    {
        get => _value ?? throw new InvalidOperationException("nothing was written to this buffer");
        set => _value = value;
    }

    public void Dispose() => _value = null;
}

/// <summary>Counts positions; keys and values are on the tape.</summary>
internal sealed class TapeCache : IKvCache
{
    public int Length { get; set; }

    public void Truncate(int length) => Length = Math.Min(Length, length);

    public IKvCache Fork(int room) => throw new InvalidOperationException("a pass with gradients holds whole sequences; it cannot be continued");

    public void Dispose()
    {
    }
}
