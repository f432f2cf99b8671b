using Microsoft.Playwright;

namespace Phi3VCluster.Page.Tests.Browser;

/// <summary>Debian's Chromium without a window. A page that it shows may complain of nothing, and ask nobody but the silo.</summary>
internal sealed class Chromium : IAsyncDisposable
{
    private const string Executable = "/usr/bin/chromium";

    private readonly IPlaywright _playwright;
    private readonly IBrowser _browser;
    private readonly List<string> _complaints = [];

    private Chromium(IPlaywright playwright, IBrowser browser) => (_playwright, _browser) = (playwright, browser);

    /// <summary>What pages complained of, and asked of others.</summary>
    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (_complaints) return [.. _complaints];
        }
    }

    /// <summary>Skips the test, with that reason, where there is no such browser.</summary>
    public static async Task<Chromium> StartAsync()
    {
        Assert.SkipUnless(File.Exists(Executable), $"{Executable} is not there; apt-get install chromium brings it");
        var playwright = await Playwright.CreateAsync();
        // Its sandbox needs a user of its own, which containers and root have not. What it shows here is ours.
        return new(playwright, await playwright.Chromium.LaunchAsync(new() { ExecutablePath = Executable, Args = ["--no-sandbox"] }));
    }

    public async Task<IPage> OpenAsync(string address, int width = 1280, int height = 900, ColorScheme scheme = ColorScheme.Light)
    {
        var page = await _browser.NewPageAsync(new()
        {
            ViewportSize = new() { Width = width, Height = height },
            ColorScheme = scheme,
            Locale = "en-GB",
            TimezoneId = "UTC",
        });
        page.SetDefaultTimeout((float)Cluster.Tests.Processes.CliSandbox.Timeout.TotalMilliseconds);
        var origin = new Uri(address).GetLeftPart(UriPartial.Authority);
        page.PageError += (_, error) => Complain($"error: {error}");
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning" && !message.Text.StartsWith("Failed to load resource", StringComparison.Ordinal))
                Complain($"{message.Type}: {message.Text}"); // a status that is no success is the test's to judge
        };
        page.Request += (_, request) =>
        {
            string[] own = [origin, $"blob:{origin}"];
            if (!own.Any(start => request.Url.StartsWith(start, StringComparison.Ordinal)))
                Complain($"asked {request.Url}");
        };
        await page.GotoAsync(address);
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        await _browser.DisposeAsync();
        _playwright.Dispose();
    }

    private void Complain(string what)
    {
        lock (_complaints) _complaints.Add(what);
    }
}
