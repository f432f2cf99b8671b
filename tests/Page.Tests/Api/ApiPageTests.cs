using System.Text.Json;
using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Api;

public sealed class ApiPageTests
{
    /// <summary>After a change of the API, PHI3V_REWRITE_HTTP_API=1 writes the page anew: then review its difference.</summary>
    [Fact]
    public void The_documentation_is_what_the_code_says()
    {
        var (page, written) = (ApiPage.Text(), Checkout.At("docs/http-api.md"));
        if (Environment.GetEnvironmentVariable("PHI3V_REWRITE_HTTP_API") == "1") File.WriteAllText(written, page);
        Assert.Equal(File.ReadAllText(written), page);
    }

    /// <summary>The page's own calls are in its modules as text.</summary>
    [Fact]
    public void The_page_asks_only_what_there_is()
    {
        var modules = string.Concat(Directory.EnumerateFiles(Checkout.At("src/Silo/Page"), "*.js").Select(File.ReadAllText));
        foreach (var last in (string[])["/access", "/runs", "/queue", "/nodes", "/log", "/steps", "/predictions", "/samples/", "/cancel"])
        {
            Assert.Contains(last, modules);
            Assert.Contains(Silo.Http.Api.Routes, route => route.Path.Contains(last, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void JSON_is_as_the_command_line_writes_it() => Assert.Equal(
        """{"node":"né","silo":"<s>","ranks":[0]}""",
        JsonSerializer.Serialize(new Grains.Interfaces.NodeRow("né", "<s>", [0]), ApiJson.Options));
}
