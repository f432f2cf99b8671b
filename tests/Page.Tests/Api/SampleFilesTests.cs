using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Api;

public sealed class SampleFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public SampleFilesTests()
    {
        Directory.CreateDirectory(At("data/pages"));
        Directory.CreateDirectory(At("data-of-others"));
        foreach (var file in (string[])["data/pages/page.png", "data-of-others/secret.png", "secret.png"]) File.WriteAllText(At(file), "x");
        File.CreateSymbolicLink(At("data/pages/link.png"), At("secret.png"));
        Directory.CreateSymbolicLink(At("data/out"), At("data-of-others"));
        Directory.CreateSymbolicLink(At("alias"), At("data"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("data", "data/pages/page.png")]
    [InlineData("alias", "data/pages/page.png")]
    [InlineData("data", "alias/pages/page.png")]
    [InlineData("data/", "data/../data/pages/page.png")]
    public void An_image_below_the_root_is_given_out(string root, string file) => SampleFiles.RequireBelow(At(root), At(file));

    [Theory]
    [InlineData("data/../secret.png")]
    [InlineData("data/pages/../../secret.png")]
    [InlineData("data-of-others/secret.png")] // begins like the root
    [InlineData("data/pages/link.png")]
    [InlineData("data/out/secret.png")]
    [InlineData("data")]
    public void What_lies_outside_is_not_by_whatever_way(string file) =>
        Assert.Equal(403, Assert.Throws<ApiException>(() => SampleFiles.RequireBelow(At("data"), At(file))).Status);

    [Theory]
    [InlineData("root:x:0:0", null)]
    [InlineData("<svg xmlns='http://www.w3.org/2000/svg'><script>", null)]
    [InlineData("GIF89a…", "image/gif")]
    public void Only_images_that_a_browser_merely_draws_are(string beginning, string? type) =>
        Assert.Equal(type, SampleFiles.ContentTypeOf(System.Text.Encoding.UTF8.GetBytes(beginning)));

    private string At(string path) => Path.Combine(_folder, path);
}
