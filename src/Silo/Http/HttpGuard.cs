using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Phi3VCluster.Silo.Http;

/// <summary>What every request passes: the limits of the server, its name, headers for browsers, and the token of the API.</summary>
internal static partial class HttpGuard
{
    /// <summary>Nothing is fetched from elsewhere, no script or style stands in a document, nobody shows the page in a frame.</summary>
    public const string ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private const int MostBody = 4096, MostHeaders = 16 * 1024, MostConnections = 512;

    public static void Limit(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = MostBody;
        kestrel.Limits.MaxRequestHeadersTotalSize = MostHeaders;
        kestrel.Limits.MaxConcurrentConnections = MostConnections;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(65); // of a Prometheus that asks once a minute
        kestrel.Limits.MinRequestBodyDataRate = new(bytesPerSecond: 240, gracePeriod: TimeSpan.FromSeconds(5));
    }

    /// <param name="api">Where the API's paths begin.</param>
    public static void UseGuard(this WebApplication app, HttpAccess access, string api) => app.Use(async (http, next) =>
    {
        TellBrowsers(http.Response.Headers);
        if (Refuse(http, access, api) is not { } refusal)
        {
            await next(http);
            return;
        }
        var who = $"{http.Connection.RemoteIpAddress}";
        Refused(app.Logger, who, Shown(http.Request.Method), Shown(http.Request.Path), refusal.Status, refusal.Reason);
        if (refusal.Status == StatusCodes.Status401Unauthorized) http.Response.Headers.WWWAuthenticate = "Bearer realm=\"phi3v\"";
        await ApiJson.WriteAsync(http.Response, refusal.Status, new ApiError(refusal.Reason));
    });

    /// <summary>What the caller may do, once the guard has let it pass.</summary>
    public static HttpRole RoleOf(HttpContext http) => (HttpRole)http.Items[typeof(HttpRole)]!;

    private static HttpRefusal? Refuse(HttpContext http, HttpAccess access, string api)
    {
        if (access.CheckHost(http.Request.Host) is { } wrongHost) return wrongHost;
        if (!http.Request.Path.StartsWithSegments(api)) return null;
        var (role, refusal) = access.RoleOf(http.Request);
        if (refusal is not null) return refusal;
        http.Items[typeof(HttpRole)] = role;
        var looks = HttpMethods.IsGet(http.Request.Method) || HttpMethods.IsHead(http.Request.Method);
        return looks ? null : access.CheckChange(http.Request, role);
    }

    private static void TellBrowsers(IHeaderDictionary headers)
    {
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
    }

    // It is the caller's, and goes to a log of lines.
    private static string Shown(string? text) =>
        Spec.Shown.Value(Uri.EscapeDataString(text ?? "").Replace("%2F", "/", StringComparison.Ordinal));

    [LoggerMessage(LogLevel.Warning, "Refused {Who}: {Method} {Path}: {Status}, {Reason}")]
    private static partial void Refused(ILogger log, string who, string method, string path, int status, string reason);
}
