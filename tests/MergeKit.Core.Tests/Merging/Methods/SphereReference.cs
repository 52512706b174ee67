using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Merging.Methods;

/// <summary>The spherical methods written down from their formulas, on whole vectors in double precision.</summary>
internal static class SphereReference
{
    public static double[] NuSlerp(double[] a, double[] b, double w1, double w2)
    {
        var t = Math.Abs(w1 + w2) < 1e-6 ? 0.5 : w2 / (w1 + w2);
        var angle = Math.Acos(Math.Clamp(Dot(a, b) / Math.Max(Norm(a), 1e-7) / Math.Max(Norm(b), 1e-7), -1, 1));
        return Math.Abs(Math.Sin(angle)) < 1e-8 ? Sum((1 - t, a), (t, b))
            : Sum((Math.Sin((1 - t) * angle) / Math.Sin(angle), a), (Math.Sin(t * angle) / Math.Sin(angle), b));
    }

    public static double[] MultiSlerp(double[][] x, double[] w, double eps)
    {
        var u = x.Select(v => Sum((1 / (Norm(v) + eps), v))).ToArray();
        var m = Sum([.. w.Select((share, i) => (share, u[i]))]);
        if (Norm(m) < eps)
            return Sum([.. w.Select((share, i) => (share, x[i]))]);
        m = Sum((1 / Norm(m), m));
        var g = Sum([.. w.Select((share, i) => (share, Sum((1, u[i]), (-Dot(u[i], m), m))))]);
        var h = Norm(g) + eps;
        return Sum((w.Select((share, i) => share * Norm(x[i])).Sum(), Sum((Math.Cos(h), m), (Math.Sin(h) / h, g))));
    }

    public static double[] Karcher(double[][] x, int steps = 10, double tol = 1e-5)
    {
        var taking = x.Where(v => Norm(v) > tol).ToArray();
        if (taking.Length == 0)
            return new double[x[0].Length];
        var units = taking.Select(v => Sum((1 / Norm(v), v))).ToArray();
        var share = 1.0 / units.Length;
        var u = Sum([.. units.Select(unit => (share, unit))]);
        u = Norm(u) < tol ? units[0] : Sum((1 / Norm(u), u));
        for (var step = 0; step < steps; step++)
        {
            var tangent = new double[u.Length];
            foreach (var unit in units)
            {
                var cosine = Math.Clamp(Dot(u, unit), -1, 1);
                var angle = Math.Acos(cosine);
                if (angle >= tol)
                    tangent = Sum((1, tangent), (share * angle / Math.Sin(angle), Sum((1, unit), (-cosine, u))));
            }

            var length = Norm(tangent);
            if (length < tol)
                break;
            u = Sum((Math.Cos(length), u), (Math.Sin(length) / length, tangent));
            if (Norm(u) > tol)
                u = Sum((1 / Norm(u), u));
        }

        return Sum((x.Average(Norm), u));
    }

    /// <summary>t of model_stock.</summary>
    public static double StockRatio(double[][] deltas)
    {
        var (sum, pairs, k) = (0.0, 0, deltas.Length);
        for (var i = 0; i < k; i++)
            for (var j = i + 1; j < k; j++, pairs++)
                sum += Math.Clamp(Dot(deltas[i], deltas[j]) / Math.Max(Norm(deltas[i]) * Norm(deltas[j]), 1e-6), -1, 1);
        var c = sum / pairs;
        return k * c / (1 + (k - 1) * c);
    }
}
