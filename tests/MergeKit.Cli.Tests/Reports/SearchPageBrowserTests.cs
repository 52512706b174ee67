using System.Text.Json.Nodes;
using MergeKit.Cli.Tests.Conformance;
using Microsoft.Playwright;

namespace MergeKit.Cli.Tests.Reports;

/// <summary>The page of a real search, as a browser shows it.</summary>
public sealed class SearchPageBrowserTests(Chromium chromium) : IClassFixture<Chromium>, IDisposable
{
    private const int Candidates = 12, LinePoints = 5;

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _incidents = [];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("cma_es", 1280, ColorScheme.Light)]
    [InlineData("nsga2", 800, ColorScheme.Dark)]
    public async Task Shows_trajectory_importance_front_and_curves(string kind, int width, ColorScheme scheme)
    {
        var page = await Open(kind, width, scheme);
        var json = JsonNode.Parse(await File.ReadAllTextAsync(_folder.Join("dir", "search.json"), TestContext.Current.CancellationToken))!;
        Assert.Equal($"Search: {kind}", await page.Locator("h1").InnerTextAsync());
        Assert.Equal(Candidates, await page.GetByLabel("objective of every candidate").Locator("circle.dot").CountAsync());
        Assert.Equal(json["importance"]!.AsArray().Select(one => (string)one!["variable"]!), await page.Locator("#importance tbody th").AllTextContentsAsync());
        Assert.Equal(json["test"]!["models"]!.AsArray().Select(name => (string)name!), await page.Locator("#results tbody th").AllTextContentsAsync());
        Assert.Equal(json["front"]!.AsArray().Count, await page.Locator("#front tbody tr").CountAsync());
        var curves = page.GetByLabel("Between start and winner").Locator("polyline.curve");
        Assert.Equal(3, await curves.CountAsync()); // the objective and both tuning sets
        Assert.Equal(LinePoints, (await curves.First.GetAttributeAsync("points"))!.Split(' ').Length);
        Assert.InRange(await page.EvaluateAsync<int>("() => document.documentElement.scrollWidth"), 1, width);
        await Compares(page, json["test"]!);
        await page.Locator("summary").ClickAsync(); // all metrics
        Assert.Empty(await page.EvaluateAsync<string[]>("() => [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).map(box => `${box.querySelector('table').id} ${box.scrollWidth} ${[...box.querySelectorAll('thead th')].map(head => head.offsetWidth)}`)"));
        Assert.Empty(await page.EvaluateAsync<string[]>(Overlaps));
        Assert.Equal(0, await page.EvaluateAsync<int>("() => [...document.querySelectorAll('figure:has(svg.plot)')].filter(figure => figure.scrollWidth > figure.clientWidth).length"));
        Assert.Equal(["1", "4", "6", "9", "12"], await page.GetByLabel("objective of every candidate").Locator("text[text-anchor=middle].soft").AllTextContentsAsync());
        Assert.Equal(0, await page.Locator("script, img, iframe, link, object, embed, a").CountAsync());
        if (Environment.GetEnvironmentVariable("MERGEKIT_SCREENSHOTS") is { Length: > 0 } folder)
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, $"search-{kind}.png"), FullPage = true });
        Assert.Empty(_incidents);
    }

    /// <summary>Every comparison has its row, with a verdict that follows from difference, interval and the metric's direction; the means over data sets of one metric come last.</summary>
    private static async Task Compares(IPage page, JsonNode test)
    {
        Assert.Contains("in exact_match above 0 means that the model is better than the winner, and in bits_per_byte above 0 means that the model is worse than the winner", await page.Locator("body").InnerTextAsync(), StringComparison.Ordinal);
        var rows = test["comparisons"]!.AsArray().Concat(test["mean_comparisons"]!.AsArray()).ToList();
        Assert.Equal(rows.Count, await page.Locator("#comparisons tbody tr").CountAsync());
        Assert.All(test["mean_comparisons"]!.AsArray(), mean => Assert.Equal(("bits_per_byte", "mean of 2 data sets"), ((string)mean!["metric"]!, (string)mean["data_set"]!)));
        var verdicts = await page.Locator("#comparisons tbody tr td:nth-child(4)").AllTextContentsAsync();
        foreach (var (row, verdict) in rows.Zip(verdicts))
        {
            var (low, high) = ((double)row!["interval"]![0]!, (double)row["interval"]![1]!);
            if ((string)row["metric"]! == "exact_match")
                Assert.True(low >= -1 && high <= 1, $"[{low}, {high}]");
            Assert.Equal(low <= 0 && high >= 0 ? "no difference shown" : (double)row["difference"]! > 0 == ((string)row["metric"]! == "exact_match") ? "better" : "worse", verdict);
        }
    }

    /// <summary>Pairs of texts in one drawing that cover each other, and texts that stick out of it.</summary>
    private const string Overlaps = """
        () => [...document.querySelectorAll('figure svg')].flatMap(svg => {
          const frame = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label');
          const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
          const out = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
          const pairs = texts.flatMap(([a, one], i) => texts.slice(i + 1).filter(([, two]) =>
            Math.min(one.right, two.right) - Math.max(one.left, two.left) > 1 && Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top) > 3).map(([b]) => `${name}: '${a}' on '${b}'`));
          return [...out.map(([a]) => `${name}: '${a}' sticks out`), ...pairs];
        })
        """;

    /// <summary>The beginning of a text, so that the test is quick.</summary>
    private string Part(string text)
    {
        var path = _folder.Join(Path.GetFileName(text));
        File.WriteAllText(path, File.ReadAllText(Path.Combine(Repository.Root, "examples", "data", text))[..8000]);
        return path;
    }

    private async Task<IPage> Open(string kind, int width, ColorScheme scheme)
    {
        var recipe = _folder.Join("search.yml");
        await File.WriteAllTextAsync(recipe, $$$"""
            search: {{{kind}}}
            recipe:
              merge_method: task_arithmetic
              base_model: examples/models/base
              models:
              - {model: examples/models/ft-code, parameters: {weight: {search: [0, 1]} } }
              - {model: examples/models/ft-arithmetic, parameters: {weight: {search: [0, 1]} } }
              dtype: float32
              out_dtype: bfloat16
            tune:
            - {data: examples/data/code/zlib-header.txt, name: C header, tokens: 1000}
            - {data: examples/data/arithmetic/val.txt, name: sums, tokens: 1000}
            test: [{data: examples/data/arithmetic/exact.jsonl, limit: 20}, {data: {{{Part("arithmetic/heldout.txt")}}}, name: sums held out}, {data: {{{Part("code/zlib.txt")}}}, name: C}]
            candidates: {{{Candidates}}}
            population: 6
            seed: 1
            """, TestContext.Current.CancellationToken);
        var run = CommandLine.Run(["search", recipe, _folder.Join("dir"), "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        return await chromium.Open(_folder.Join("dir", "search.html"), width, scheme, _incidents);
    }
}
