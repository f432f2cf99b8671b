using Microsoft.Playwright;

namespace Phi3VCluster.Page.Tests.Browser;

/// <summary>Those of docs/page.md, taken anew where PHI3V_SCREENSHOTS names a folder.</summary>
internal static class Screenshots
{
    private static readonly string? Folder = Environment.GetEnvironmentVariable("PHI3V_SCREENSHOTS");

    public static async Task TakeAsync(IPage page, string name)
    {
        if (Folder is null) return;
        await page.ScreenshotAsync(new() { Path = Path.Combine(Folder, $"{name}.png") });
    }
}
