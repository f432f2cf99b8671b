using Microsoft.Playwright;
using Phi3VCluster.Cluster.Tests.Processes;
using static Microsoft.Playwright.Assertions;

namespace Phi3VCluster.Page.Tests.Browser;

/// <summary>The page in a real browser, of silos that are processes.</summary>
public sealed class PageTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    static PageTests() => SetDefaultExpectTimeout((float)CliSandbox.Timeout.TotalMilliseconds);

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_run_is_followed_through_the_loss_of_a_node_to_its_end()
    {
        await using var chromium = await Chromium.StartAsync();
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 3);
        await cluster.SeeReadyAsync("n1", "n2", "n3");
        var address = cluster.Up.GetProperty("page").GetString()!;
        var spec = new TinyRun(_cli).EndlessSpec(ranks: 3);
        var run = (await _cli.JsonAsync(0, "submit", spec)).GetProperty("run").GetString()!;
        var waits = (await _cli.JsonAsync(0, "submit", spec)).GetProperty("run").GetString()!;

        var page = await chromium.OpenAsync(address);
        var row = Rows(page, "Runs").Filter(new() { Has = page.GetByRole(AriaRole.Link, new() { Name = run, Exact = true }) });
        await Expect(row).ToContainTextAsync("running: training");
        await Expect(Rows(page, "Queue")).ToContainTextAsync(waits);
        await Expect(Rows(page, "Nodes")).ToHaveCountAsync(3);
        await Screenshots.TakeAsync(page, "page-cluster");

        await row.GetByRole(AriaRole.Link).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Img, new() { NameRegex = new("^Loss: first ") })).ToBeVisibleAsync();
        await Expect(Rows(page, "Ranks by node")).ToHaveCountAsync(3);
        await PagesAreBesideTheirPredictions(page);
        await Expect(page.GetByRole(AriaRole.List, new() { Name = "The run's log" })).ToContainTextAsync("takes 3 seats");

        using (cluster.WithoutSupervisor()) // so that the node stays away for as long as it is looked at
        {
            var status = await (await cluster.ClientAsync()).Run(run).StatusAsync();
            var victim = status.Nodes.First(node => node.Node != "n1" && !node.Ranks.Contains(0)); // the test asks n1
            cluster.Kill(victim.Node);
            await Expect(page.Locator(".status .state.regrouping")).ToBeVisibleAsync();
            await Expect(page.Locator(".status small")).ToContainTextAsync(victim.Node);
            await page.EvaluateAsync("scrollTo(0, 0)");
            await Screenshots.TakeAsync(page, "page-regroup");
            await LooksWellOnAPhone(chromium, address, run);
            await using var dark = new Opened(await chromium.OpenAsync($"{address}#/runs/{run}", scheme: ColorScheme.Dark));
            await Expect(dark.Page.Locator(".status .state.regrouping")).ToBeVisibleAsync();
            await Screenshots.TakeAsync(dark.Page, "page-dark");
        }
        await Expect(Rows(page, "Generations")).ToHaveCountAsync(2);
        await Expect(Rows(page, "Generations").First).ToContainTextAsync("lost");
        await Expect(page.Locator("figure .mark").First).ToBeAttachedAsync(); // a line is too thin to count as visible

        await CancelAfterAQuestion(page);
        Assert.Empty(chromium.Complaints);
        await cluster.DownAsync();
    }

    private static async Task PagesAreBesideTheirPredictions(IPage page)
    {
        var card = page.Locator(".cards li").First;
        await card.ScrollIntoViewIfNeededAsync();
        var image = card.GetByRole(AriaRole.Img, new() { Name = "Page 1 of sample eval-0000" });
        await Expect(image).ToBeVisibleAsync();
        Assert.True(await image.EvaluateAsync<int>("image => image.naturalWidth") > 0, "the page's image is drawn");
        await Expect(card.Locator(".score").First).ToContainTextAsync("0.");
    }

    private static async Task LooksWellOnAPhone(Chromium chromium, string address, string run)
    {
        await using var phone = new Opened(await chromium.OpenAsync($"{address}#/runs/{run}", width: 375, height: 812));
        foreach (var view in (string[])[$"#/runs/{run}", "#/"])
        {
            await phone.Page.GotoAsync($"{address}{view}");
            await Expect(phone.Page.Locator("main table").First).ToBeVisibleAsync();
            Assert.Equal(0, await phone.Page.EvaluateAsync<int>("document.documentElement.scrollWidth - innerWidth")); // nothing sticks out
            await Screenshots.TakeAsync(phone.Page, view == "#/" ? "page-phone-cluster" : "page-phone");
        }
    }

    private static async Task CancelAfterAQuestion(IPage page)
    {
        var (cancel, dialog) = (page.GetByRole(AriaRole.Button, new() { Name = "Cancel the run" }), page.Locator("#confirm"));
        await cancel.ClickAsync();
        await Expect(dialog).ToBeVisibleAsync();
        await Expect(dialog.GetByRole(AriaRole.Button, new() { Name = "No, leave it" })).ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Enter"); // the harmless answer is the nearest
        await Expect(dialog).ToBeHiddenAsync();
        await Expect(cancel).ToBeVisibleAsync();

        await cancel.ClickAsync();
        await dialog.GetByRole(AriaRole.Button, new() { Name = "Cancel the run" }).ClickAsync();
        await Expect(dialog).ToBeHiddenAsync();
        await Expect(page.Locator(".status .state")).ToHaveTextAsync("cancelled");
        await Expect(cancel).ToBeHiddenAsync();
    }

    [Fact]
    public async Task A_node_is_drained_by_keyboard_and_a_refusal_is_shown()
    {
        await using var chromium = await Chromium.StartAsync();
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 2);
        await cluster.SeeReadyAsync("n1", "n2");
        var page = await chromium.OpenAsync(cluster.Up.GetProperty("page").GetString()!);

        await page.GetByRole(AriaRole.Button, new() { Name = "Drain n2", Exact = true }).FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await page.Keyboard.PressAsync("Tab");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Undrain n2" })).ToBeVisibleAsync();
        await cluster.SeeReadyAsync("n1");

        await page.GetByRole(AriaRole.Button, new() { Name = "Drain n1", Exact = true }).ClickAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Drain it" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("must not be the only one that takes runs, got n1");
        await page.Keyboard.PressAsync("Escape");
        await Expect(page.Locator("#confirm")).ToBeHiddenAsync();
        Assert.Empty(chromium.Complaints);
        await cluster.DownAsync();
    }

    [Fact]
    public async Task A_token_is_asked_for_once_and_kept_by_the_tab_alone()
    {
        const string Token = "0123456789abcdef-reader";
        _cli.Set("PHI3V_HTTP_READ_TOKEN_FILE", _cli.Write("token", Token));
        await using var chromium = await Chromium.StartAsync();
        await using var cluster = await LocalCluster.StartAsync(_cli, silos: 1);
        var address = cluster.Up.GetProperty("page").GetString()!;
        var page = await chromium.OpenAsync(address);
        var (dialog, field) = (page.Locator("#token"), page.GetByRole(AriaRole.Textbox, new() { Name = "Token" }));

        await Expect(dialog).ToBeVisibleAsync();
        await field.FillAsync("0123456789abcdef-wrong");
        await page.Keyboard.PressAsync("Enter");
        await Expect(dialog.GetByRole(AriaRole.Alert)).ToContainTextAsync("not one of this silo's");
        await field.FillAsync(Token);
        await page.Keyboard.PressAsync("Enter");

        await Expect(dialog).ToBeHiddenAsync();
        await Expect(page.Locator("#silo")).ToContainTextAsync("reader");
        await Expect(Rows(page, "Nodes")).ToHaveCountAsync(1);
        await Expect(page.GetByRole(AriaRole.Button)).ToHaveCountAsync(0); // who may only look is shown nothing to press
        await page.ReloadAsync();
        await Expect(Rows(page, "Nodes")).ToHaveCountAsync(1);
        Assert.DoesNotContain(Token, page.Url);
        Assert.Equal(0, await page.EvaluateAsync<int>("localStorage.length + document.cookie.length"));
        await using var other = new Opened(await chromium.OpenAsync(address));
        await Expect(other.Page.Locator("#token")).ToBeVisibleAsync();
        Assert.Empty(chromium.Complaints);
        await cluster.DownAsync();
    }

    private static ILocator Rows(IPage page, string table) => page.GetByRole(AriaRole.Table, new() { Name = table }).Locator("tbody tr");

    private sealed class Opened(IPage page) : IAsyncDisposable
    {
        public IPage Page => page;

        public async ValueTask DisposeAsync() => await page.CloseAsync();
    }
}
