using MergeKit.Core.Reports;
using Microsoft.Playwright;

namespace MergeKit.Cli.Tests.Reports;

/// <summary>The one-file HTML report as a browser shows it.</summary>
public sealed class HtmlReportBrowserTests(Chromium chromium) : IClassFixture<Chromium>, IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _incidents = [];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Shows_every_model_data_set_and_cell()
    {
        var page = await Open(1280, ColorScheme.Light);
        var report = HostileReport.Create();
        var result = report.Result!;
        Assert.Equal(report.Title, await page.Locator("h1").InnerTextAsync());
        Assert.Equal(report.Title, await page.TitleAsync());
        Assert.Equal(HostileReport.Models, await page.Locator("#results tbody th").AllTextContentsAsync());
        Assert.Equal(1 + result.DataSets.Count, await page.Locator("#results thead th").CountAsync());
        Assert.Equal(HostileReport.Models.Length * result.DataSets.Count, await page.Locator("#results tbody td").CountAsync());
        Assert.Equal(result.Comparisons.Select(c => c.Model), await page.Locator("#comparisons tbody th").AllTextContentsAsync());
        Assert.Equal(result.Results.SelectMany(one => one.Measurements, (one, _) => one.Model), await page.Locator("#metrics tbody th").AllTextContentsAsync());
        foreach (var text in HostileReport.Texts)
        {
            var plot = page.GetByLabel(text, new PageGetByLabelOptions { Exact = true });
            Assert.Equal(HostileReport.Models.Length, await plot.Locator("circle.dot").CountAsync());
            Assert.Equal(HostileReport.Models.Length, await plot.Locator("g > title").CountAsync());
        }

        foreach (var map in new[] { "relative norm of the change", "sign conflict" })
            Assert.Equal(HostileReport.Layers * HostileReport.Components.Length, await page.GetByLabel(map).Locator("rect.cell:has(title)").CountAsync());
        Assert.Empty(_incidents);
    }

    [Fact]
    public async Task Runs_no_script_and_asks_for_nothing()
    {
        var page = await Open(1280, ColorScheme.Light);
        Assert.Equal("undefined", await page.EvaluateAsync<string>("() => typeof window.hostile"));
        Assert.Equal(0, await page.Locator("script, img, iframe, link, object, embed, a").CountAsync());
        Assert.Equal(0, await page.EvaluateAsync<int>("() => performance.getEntriesByType('resource').length"));
        Assert.Empty(_incidents);
    }

    [Theory]
    [InlineData(1280, ColorScheme.Light)]
    [InlineData(1280, ColorScheme.Dark)]
    [InlineData(800, ColorScheme.Light)]
    [InlineData(800, ColorScheme.Dark)]
    public async Task Fits_the_window_and_has_contrast(int width, ColorScheme scheme)
    {
        var page = await Open(width, scheme);
        await page.Locator("summary").ClickAsync();
        Assert.True(await page.Locator("#metrics").IsVisibleAsync());
        Assert.InRange(await page.EvaluateAsync<int>("() => document.documentElement.scrollWidth"), 1, width);
        var page0 = await Luminance(page, "body", "backgroundColor");
        Assert.True(scheme == ColorScheme.Dark ? page0 < 0.1 : page0 > 0.9, $"background of luminance {page0}");
        foreach (var (element, property) in new[] { ("h1", "color"), ("td", "color"), ("small", "color"), ("svg text", "fill"), ("svg text.soft", "fill"), ("svg .dot", "fill") })
            Assert.True(Contrast(page0, await Luminance(page, element, property)) >= 4.5, $"{element} is hard to read on the {scheme} page");
        Assert.Empty(_incidents);
        if (Environment.GetEnvironmentVariable("MERGEKIT_SCREENSHOTS") is { Length: > 0 } folder)
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, $"report-{width}-{scheme}.png"), FullPage = true });
    }

    private async Task<IPage> Open(int width, ColorScheme scheme)
    {
        await File.WriteAllTextAsync(_folder.Join("report.html"), HtmlReport.Write(HostileReport.Create()), TestContext.Current.CancellationToken);
        return await chromium.Open(_folder.Join("report.html"), width, scheme, _incidents);
    }

    /// <summary>Relative luminance of a computed colour, WCAG 2.</summary>
    private static async Task<double> Luminance(IPage page, string element, string property)
    {
        var colour = await page.Locator(element).First.EvaluateAsync<string>($"e => getComputedStyle(e).{property}");
        var parts = colour[(colour.IndexOf('(', StringComparison.Ordinal) + 1)..].TrimEnd(')').Split(',');
        var linear = parts.Take(3).Select(part => double.Parse(part, System.Globalization.CultureInfo.InvariantCulture) / 255)
            .Select(c => c <= 0.04045 ? c / 12.92 : Math.Pow((c + 0.055) / 1.055, 2.4)).ToArray();
        return (0.2126 * linear[0]) + (0.7152 * linear[1]) + (0.0722 * linear[2]);
    }

    private static double Contrast(double a, double b) => (Math.Max(a, b) + 0.05) / (Math.Min(a, b) + 0.05);
}
