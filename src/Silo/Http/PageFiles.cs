using System.Security.Cryptography;

namespace Phi3VCluster.Silo.Http;

/// <summary>The page's files, which are in the program: none is looked up on a disk.</summary>
internal static class PageFiles
{
    private const string Prefix = "page/", Index = "index.html";

    private static readonly Dictionary<string, string> ContentTypes = new()
    {
        [".html"] = "text/html; charset=utf-8",
        [".css"] = "text/css; charset=utf-8",
        [".js"] = "text/javascript; charset=utf-8",
        [".svg"] = "image/svg+xml",
    };

    public static void MapPage(this WebApplication app)
    {
        var program = typeof(PageFiles).Assembly;
        foreach (var name in program.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            using var stream = program.GetManifestResourceStream(name)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            var (path, type) = (name[Prefix.Length..], ContentTypes[Path.GetExtension(name)]);
            var tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(bytes)[..8])}\"";
            app.MapGet(path == Index ? "/" : $"/{path}", (HttpContext http) => Answer(http, bytes, type, tag));
        }
    }

    private static IResult Answer(HttpContext http, byte[] bytes, string type, string tag)
    {
        http.Response.Headers.CacheControl = "no-cache"; // kept, but asked for: a silo of the next build has other files
        return Results.Bytes(bytes, type, entityTag: new(tag));
    }
}
