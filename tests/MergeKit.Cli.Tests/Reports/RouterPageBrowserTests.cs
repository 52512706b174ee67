using MergeKit.Core.Architectures;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Reports;
using Microsoft.Playwright;

namespace MergeKit.Cli.Tests.Reports;

/// <summary>The router part of the report as a browser shows it: tables, heat maps, experts chosen together; also for many experts and hostile names.</summary>
public sealed class RouterPageBrowserTests(Chromium chromium) : IClassFixture<Chromium>, IDisposable
{
    private const int Layers = 3;

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _incidents = [];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(5, 1280, ColorScheme.Light)]
    [InlineData(5, 800, ColorScheme.Dark)]
    [InlineData(64, 1280, ColorScheme.Light)]
    [InlineData(64, 800, ColorScheme.Light)]
    public async Task Shows_tables_heat_maps_and_experts_chosen_together(int experts, int width, ColorScheme scheme)
    {
        var report = Survey(experts);
        var page = await Open(report, width, scheme);
        Assert.Equal(["Routers before writing", "Routers as written"], await page.Locator("h2:text-matches('^Routers')").AllTextContentsAsync());
        foreach (var table in (string[])["#routers-routers-before-writing", "#routers-routers-as-written"])
        {
            Assert.Equal(Enumerable.Range(0, Layers).Select(layer => $"{layer}"), await page.Locator(table + " tbody th").AllTextContentsAsync());
            Assert.Equal(13, await page.Locator(table + " thead th").CountAsync());
            Assert.Equal(12 * Layers, await page.Locator(table + " tbody td").CountAsync());
            Assert.DoesNotContain("", (await page.Locator(table + " tbody td").AllTextContentsAsync()).Select(text => text.Trim()));
        }

        foreach (var layer in Enumerable.Range(0, Layers))
        {
            var maps = page.GetByLabel($"layer {layer}, domains by experts");
            Assert.Equal(2, await maps.CountAsync());
            var titles = await maps.First.Locator("rect.cell > title").AllTextContentsAsync();
            Assert.Equal(report.Domains.Count * experts, titles.Count);
            Assert.StartsWith($"{report.Domains[1]}, {report.Experts[^1]}: ", titles[(2 * experts) - 1], StringComparison.Ordinal);
            var shares = titles.Take(experts).Select(title => double.Parse(title.Split(": ")[^1], System.Globalization.CultureInfo.InvariantCulture)).ToList();
            Assert.Equal(1, shares.Sum(), 0.02);
            Assert.Equal(0, shares[1]);
        }

        await page.EvaluateAsync("() => document.querySelectorAll('details').forEach(one => one.open = true)");
        if (experts <= 32)
            Assert.Equal(experts * experts, await page.GetByLabel("layer 0, experts chosen together").First.Locator("rect.cell:has(title)").CountAsync());
        else
            Assert.Equal(20 * Layers, await page.Locator("#together-routers-as-written tbody tr").CountAsync());
        Assert.Empty(await page.EvaluateAsync<string[]>(Outside));
        Assert.InRange(await page.EvaluateAsync<int>("() => document.documentElement.scrollWidth"), 1, width);
        Assert.Equal(0, await page.Locator("script, img, iframe, link, object, embed, a").CountAsync());
        if (Environment.GetEnvironmentVariable("MERGEKIT_SCREENSHOTS") is { Length: > 0 } folder)
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, $"routers-{experts}-{width}-{scheme}.png"), FullPage = true });
        Assert.Empty(_incidents);
    }

    /// <summary>Cells and texts of the routers' heat maps that their drawings cut off below; slanted names may reach beyond the right edge.</summary>
    private const string Outside = """
        () => [...document.querySelectorAll("svg[aria-label^='layer ']")].flatMap(svg => {
          const frame = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text, rect')].filter(part => part.getBoundingClientRect().bottom > frame.bottom + 1).map(part => `${svg.getAttribute('aria-label')}: ${part.textContent}`);
        })
        """;

    /// <summary>Two tokens per domain and expert, and an expert that nobody reaches.</summary>
    private static RouterReport Survey(int experts)
    {
        string[] names = [.. Enumerable.Range(0, experts - 1).Select(i => $"{i}: ft-model"), "</svg><script>window.hostile = 1</script>"];
        string[] domains = ["prose", "<img src=x onerror=alert(1)>" + new string('d', 80), "code"];
        var routing = new RoutingSpec { Experts = experts, TopK = 2, Scoring = RouterScoring.Softmax, Normalise = true };
        return new RouterReport("routers before writing", names, domains, [.. Enumerable.Range(0, Layers).Select(layer =>
        {
            var statistics = new RouterStatistics(routing, [], domains.Length);
            for (var domain = 0; domain < domains.Length; domain++)
                for (var token = 0; token < 2 * experts; token++)
                    statistics.Add([.. Enumerable.Range(0, experts).Select(e => e == 1 ? -20 : Math.Cos((e * (domain + 1)) + (token * 0.7) + layer))], domain, domain);
            return statistics.Result(layer, 1.5 + layer, labelled: true);
        })]);
    }

    private async Task<IPage> Open(RouterReport report, int width, ColorScheme scheme)
    {
        var (path, html) = (_folder.Join("report.html"), HtmlReport.Write(HostileReport.Create() with { Routers = [report, report with { Title = "routers as written" }] }));
        await File.WriteAllTextAsync(path, html, TestContext.Current.CancellationToken);
        return await chromium.Open(path, width, scheme, _incidents);
    }
}
