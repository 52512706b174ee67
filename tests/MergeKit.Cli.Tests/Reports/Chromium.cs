using Microsoft.Playwright;

namespace MergeKit.Cli.Tests.Reports;

/// <summary>Debian's Chromium without a window, started at the first need and shared by the tests of a class.</summary>
public sealed class Chromium : IAsyncDisposable
{
    private const string Executable = "/usr/bin/chromium";

    private static readonly string[] Arguments =
    [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ];

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    /// <summary>A file in a page of this size. Console messages, errors, dialogs and requests for anything else are added to <paramref name="incidents"/>.</summary>
    public async Task<IPage> Open(string path, int width, ColorScheme scheme, List<string> incidents)
    {
        var file = new Uri(path).AbsoluteUri;
        var page = await NewPage(width, 900, scheme);
        page.Console += (_, message) => incidents.Add($"console: {message.Text}");
        page.PageError += (_, error) => incidents.Add($"error: {error}");
        page.Dialog += (_, dialog) => incidents.Add($"dialog: {dialog.Message}");
        page.Request += (_, request) =>
        {
            if (request.Url != file)
                incidents.Add($"request: {request.Url}");
        };
        await page.GotoAsync(file, new PageGotoOptions { WaitUntil = WaitUntilState.NetworkIdle });
        return page;
    }

    /// <summary>An empty page of this size. Without Chromium the test is skipped, except where CI=true: there it fails.</summary>
    public async Task<IPage> NewPage(int width, int height, ColorScheme scheme)
    {
        if (!File.Exists(Executable))
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"{Executable} is absent");
            Assert.Skip($"{Executable} is absent; \"apt-get install chromium\" gives it");
        }

        _playwright ??= await Playwright.CreateAsync();
        _browser ??= await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = Executable, Headless = true, Args = Arguments });
        return await _browser.NewPageAsync(new BrowserNewPageOptions
        {
            ViewportSize = new ViewportSize { Width = width, Height = height },
            ColorScheme = scheme,
        });
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
            await _browser.CloseAsync();
        _playwright?.Dispose();
    }
}
