using System.Globalization;
using MergeKit.Core.Inputs.Adapters;

namespace MergeKit.Cli.Display;

/// <summary>What an adapter's factors leave over, as a table.</summary>
internal static class FactoringTable
{
    public static void Print(IReadOnlyList<FactoringReport> reports, string folder, TextWriter writer)
    {
        var table = new TextTable(["module", "#rank", "#|D|", "#|D - BA|", "#left over"]);
        foreach (var report in reports)
            table.Add([report.Module, Text(report.Rank), Text(report.DeltaNorm), Text(report.ResidualNorm), Share(report.ResidualNorm, report.DeltaNorm)]);
        table.Write(writer);
        var (delta, residual) = (Total(reports.Select(report => report.DeltaNorm)), Total(reports.Select(report => report.ResidualNorm)));
        writer.WriteLine();
        writer.WriteLine($"{folder}: {reports.Count} modules; |D| {Text(delta)}, of which {Share(residual, delta)} is left over ({Text(residual)})");
    }

    private static double Total(IEnumerable<double> norms) => Math.Sqrt(norms.Sum(norm => norm * norm));

    private static string Text(double value) => value.ToString("G5", CultureInfo.InvariantCulture);

    private static string Share(double part, double whole) => whole == 0 ? "0 %" : (part / whole).ToString("P2", CultureInfo.InvariantCulture);
}
