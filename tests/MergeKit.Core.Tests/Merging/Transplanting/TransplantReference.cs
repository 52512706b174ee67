using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Tests.Merging.Transplanting;

/// <summary>The transplant's newer methods, written from their definitions with dense matrices in double precision: every rotation is a matrix, every least-squares
/// problem is solved anew.</summary>
internal static class TransplantReference
{
    /// <summary>New rows by sparse token bases.</summary>
    /// <param name="donor">All rows of the donor's tokens.</param>
    /// <param name="model">All rows of the model's tokens.</param>
    /// <param name="shared">Pairs of rows, the donor's first.</param>
    /// <param name="wanted">Rows of the donor.</param>
    /// <param name="k">Rows in a combination.</param>
    public static Matrix<double> Stb(Matrix<double> donor, Matrix<double> model, (int Donor, int Model)[] shared, int[] wanted, int k)
    {
        var (a, b) = (Rows(donor, shared.Select(pair => pair.Donor)), Rows(model, shared.Select(pair => pair.Model)));
        var source = donor.ColumnCount < model.ColumnCount ? a : b;
        var centred = Less(source, Mean(source));
        var evd = (centred.Transpose() * centred / centred.RowCount).Evd();
        var largest = evd.EigenValues.Max(value => value.Real);
        var directions = Enumerable.Range(0, source.ColumnCount).Where(i => evd.EigenValues[i].Real > 1e-12 * largest).Select(i => evd.EigenVectors.Column(i));
        var weights = Matrix<double>.Build.DenseOfRowVectors(directions.Select(direction => Pursuit(centred, direction, k)));
        var (p, q) = (weights * a, weights * b);
        var x = Less(Rows(donor, wanted), Mean(donor));
        var coefficients = p.Transpose().Svd().Solve(x.Transpose()).Transpose();
        return Less(coefficients * q, -Mean(model));
    }

    /// <summary>New rows by matching pursuit with rotary positions.</summary>
    public static Matrix<double> MpRope(
        Matrix<double> donor, Matrix<double> model, (int Donor, int Model)[] shared, int[] wanted, int k, (int Heads, double Theta) donorRope, (int Heads, double Theta) modelRope)
    {
        var (a, b) = (Rows(donor, shared.Select(pair => pair.Donor)), Rows(model, shared.Select(pair => pair.Model)));
        return Matrix<double>.Build.DenseOfRowVectors(wanted.Select(row =>
        {
            var (target, residual) = (donor.Row(row), donor.Row(row));
            var chosen = new List<(int Index, double Position)>();
            for (var step = 0; step < k; step++)
            {
                var next = Enumerable.Range(0, a.RowCount).Where(i => chosen.TrueForAll(term => term.Index != i)).MaxBy(i => Math.Abs(a.Row(i) * residual));
                var (forth, back) = (Position(a.Row(next), residual, donorRope), Position(a.Row(next), -residual, donorRope));
                var position = Math.Abs(forth) < Math.Abs(back) ? forth : back;
                var atom = Turn(position, donor.ColumnCount, donorRope) * a.Row(next);
                residual -= atom * (atom * residual / (atom * atom));
                chosen.Add((next, position));
            }

            var atoms = Matrix<double>.Build.DenseOfColumnVectors(chosen.Select(term => Turn(term.Position, donor.ColumnCount, donorRope) * a.Row(term.Index)));
            var factors = atoms.QR().Solve(target);
            return chosen.Select((term, i) => factors[i] * (Turn(term.Position, model.ColumnCount, modelRope) * b.Row(term.Index))).Aggregate((x, y) => x + y);
        }));
    }

    /// <summary>The rows that the filter for well trained tokens keeps.</summary>
    public static HashSet<int> WellTrained(Matrix<double> embedding, Matrix<double>? head, IReadOnlyDictionary<string, int> vocabulary)
    {
        var unused = Enumerable.Range(0, embedding.RowCount).Where(row => !vocabulary.Values.Contains(row))
            .Union(vocabulary.Where(pair => pair.Key.Contains("unused_token", StringComparison.Ordinal) || pair.Key.Contains("reserved_special_token", StringComparison.Ordinal)).Select(pair => pair.Value)).ToArray();
        var bad = unused.ToHashSet();
        if (head is not null)
        {
            var norms = embedding.RowNorms(2);
            bad.UnionWith(Enumerable.Range(0, norms.Count).Where(i => norms[i] < MathNet.Numerics.Statistics.Statistics.QuantileCustom(norms, 0.05, MathNet.Numerics.Statistics.QuantileDefinition.R7)));
        }

        foreach (var matrix in new[] { embedding, head }.OfType<Matrix<double>>().Where(_ => unused.Length > 0))
        {
            var mean = Mean(Rows(matrix, unused));
            var cosines = Enumerable.Range(0, matrix.RowCount).Select(i => matrix.Row(i) * mean / (matrix.Row(i).L2Norm() * mean.L2Norm())).ToArray();
            var limit = MathNet.Numerics.Statistics.Statistics.QuantileCustom(cosines, 0.95, MathNet.Numerics.Statistics.QuantileDefinition.R7);
            bad.UnionWith(Enumerable.Range(0, cosines.Length).Where(i => cosines[i] > limit));
        }

        return [.. vocabulary.Values.Where(row => !bad.Contains(row))];
    }

    /// <summary>Weights of all rows, at most k of them not zero.</summary>
    private static Vector<double> Pursuit(Matrix<double> rows, Vector<double> target, int k)
    {
        var (chosen, residual, factors) = (new List<int>(), target, Vector<double>.Build.Dense(1));
        while (chosen.Count < k && residual.L2Norm() > 1e-6)
        {
            chosen.Add(Enumerable.Range(0, rows.RowCount).Except(chosen).MaxBy(i => Math.Abs(rows.Row(i) * residual)));
            var atoms = Rows(rows, chosen).Transpose();
            factors = atoms.QR().Solve(target);
            residual = target - atoms * factors;
        }

        var weights = Vector<double>.Build.Dense(rows.RowCount);
        for (var i = 0; i < chosen.Count; i++)
            weights[chosen[i]] = factors[i];
        return weights;
    }

    private static double Position(Vector<double> x, Vector<double> y, (int Heads, double Theta) rope)
    {
        var size = x.Count / rope.Heads;
        var (angles, frequencies) = (new List<double>(), new List<double>());
        for (var head = 0; head < rope.Heads; head++)
            for (var i = 0; i < size / 2; i++)
            {
                var (p, q) = (head * size + i, head * size + size / 2 + i);
                var quotient = new System.Numerics.Complex(y[p], y[q]) / new System.Numerics.Complex(x[p], x[q]); // e^(i angle) |y| / |x|
                angles.Add(quotient.Phase);
                frequencies.Add(Math.Pow(rope.Theta, -2.0 * i / size));
            }

        var f = Vector<double>.Build.DenseOfEnumerable(frequencies);
        return Vector<double>.Build.DenseOfEnumerable(angles) * f / (f * f); // least squares of angle = position frequency
    }

    private static Matrix<double> Turn(double position, int width, (int Heads, double Theta) rope)
    {
        var (matrix, size) = (Matrix<double>.Build.Dense(width, width), width / rope.Heads);
        for (var head = 0; head < rope.Heads; head++)
            for (var i = 0; i < size / 2; i++)
            {
                var (p, q, angle) = (head * size + i, head * size + size / 2 + i, position * Math.Pow(rope.Theta, -2.0 * i / size));
                (matrix[p, p], matrix[p, q], matrix[q, p], matrix[q, q]) = (Math.Cos(angle), -Math.Sin(angle), Math.Sin(angle), Math.Cos(angle));
            }

        return matrix;
    }

    private static Matrix<double> Rows(Matrix<double> matrix, IEnumerable<int> rows) => Matrix<double>.Build.DenseOfRowVectors(rows.Select(matrix.Row));

    private static Vector<double> Mean(Matrix<double> matrix) => matrix.ColumnSums() / matrix.RowCount;

    private static Matrix<double> Less(Matrix<double> matrix, Vector<double> vector) => Matrix<double>.Build.DenseOfRowVectors(matrix.EnumerateRows().Select(row => row - vector));
}
