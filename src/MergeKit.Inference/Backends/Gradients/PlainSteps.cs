using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Products, sums, pointwise functions, and the moving about of columns.</summary>
internal static class PlainSteps
{
    /// <summary>x W^T + b.</summary>
    public static TapeValue Linear(this Tape tape, IMatrix matrix, TapeValue x)
    {
        var weights = (TapeMatrix)matrix;
        var y = tape.Value(x.Rows, weights.Rows);
        weights.Multiply(x.Data, x.Rows, y.Data, tape.Pool);
        return tape.Record(y, () => weights.Back(x, y, tape));
    }

    /// <summary>a + b.</summary>
    public static TapeValue Add(this Tape tape, TapeValue a, TapeValue b)
    {
        var y = tape.Value(a.Rows, a.Columns);
        TensorPrimitives.Add(a.Data, b.Data, y.Data);
        return tape.Record(y, () =>
        {
            TensorPrimitives.Add(a.Gradient, y.Gradient, a.Gradient);
            TensorPrimitives.Add(b.Gradient, y.Gradient, b.Gradient);
        });
    }

    /// <summary>f(x).</summary>
    public static TapeValue Activate(this Tape tape, Activation activation, TapeValue x)
    {
        var y = tape.Value(x.Rows, x.Columns);
        x.Data.CopyTo(y.Data, 0);
        CpuFeedForward.Activate(activation, y.Data);
        return tape.Record(y, () =>
        {
            _ = x.Gradient;
            tape.Pool.For(x.Rows, (row, _) =>
            {
                for (var i = row * x.Columns; i < (row + 1) * x.Columns; i++)
                    x.Gradient[i] += y.Gradient[i] * ActivationSlopes.At(activation, x.Data[i]);
            });
        });
    }

    /// <summary>Column c of the result is column <paramref name="columns"/>[c] of x; a column may be used more than once, or not at all.</summary>
    public static TapeValue Select(this Tape tape, TapeValue x, int[] columns)
    {
        var y = tape.Value(x.Rows, columns.Length);
        for (var row = 0; row < x.Rows; row++)
        {
            var values = x.Row(row);
            var selected = y.Row(row);
            for (var c = 0; c < columns.Length; c++)
                selected[c] = values[columns[c]];
        }

        return tape.Record(y, () =>
        {
            for (var row = 0; row < x.Rows; row++)
            {
                var gradient = x.GradientRow(row);
                var selected = y.GradientRow(row);
                for (var c = 0; c < columns.Length; c++)
                    gradient[columns[c]] += selected[c];
            }
        });
    }

    /// <summary>a and b side by side.</summary>
    public static TapeValue Join(this Tape tape, TapeValue a, TapeValue b)
    {
        var y = tape.Value(a.Rows, a.Columns + b.Columns);
        for (var row = 0; row < a.Rows; row++)
        {
            a.Row(row).CopyTo(y.Row(row));
            b.Row(row).CopyTo(y.Row(row)[a.Columns..]);
        }

        return tape.Record(y, () =>
        {
            for (var row = 0; row < a.Rows; row++)
            {
                var gradient = y.GradientRow(row);
                TensorPrimitives.Add(a.GradientRow(row), gradient[..a.Columns], a.GradientRow(row));
                TensorPrimitives.Add(b.GradientRow(row), gradient[a.Columns..], b.GradientRow(row));
            }
        });
    }

    /// <summary>Some rows of x; a row may be taken more than once.</summary>
    public static TapeValue Rows(this Tape tape, TapeValue x, int[] rows)
    {
        var y = tape.Value(rows.Length, x.Columns);
        for (var i = 0; i < rows.Length; i++)
            x.Row(rows[i]).CopyTo(y.Row(i));
        return tape.Record(y, () =>
        {
            for (var i = 0; i < rows.Length; i++)
                TensorPrimitives.Add(x.GradientRow(rows[i]), y.GradientRow(i), x.GradientRow(rows[i]));
        });
    }
}
