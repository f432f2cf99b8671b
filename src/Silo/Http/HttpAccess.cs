using Microsoft.Net.Http.Headers;

namespace Phi3VCluster.Silo.Http;

/// <summary>Why a request is refused.</summary>
internal sealed record HttpRefusal(int Status, string Reason);

/// <summary>
/// Who may ask what. Without a token, everything is open to this machine, as the CLI is, and others may look if the silo listens beyond it;
/// with one, every call of the API needs it.
/// </summary>
/// <param name="operator">May change things.</param>
/// <param name="reader">May look.</param>
/// <param name="isLocal">Whether the silo listens to this machine only.</param>
internal sealed class HttpAccess(Token? @operator, Token? reader, bool isLocal)
{
    /// <summary>A page of another site cannot send it, for browsers ask the silo first whether it may, and it never says so.</summary>
    public const string OwnHeader = "X-Phi3V";

    private const string Scheme = "Bearer ";

    private static readonly string[] LocalNames = ["localhost", "127.0.0.1", "[::1]"];
    private static readonly string[] TokenNames = ["token", "access_token", "bearer", "authorization"];

    private bool NeedsToken => @operator is not null || reader is not null;

    /// <exception cref="Spec.InputException">A token's file cannot be used.</exception>
    public static HttpAccess Of(SiloSettings settings) => new(
        settings.HttpTokenFile is { } file ? Token.ReadFile("--http-token-file", file) : null,
        settings.HttpReadTokenFile is { } readFile ? Token.ReadFile("--http-read-token-file", readFile) : null,
        System.Net.IPAddress.IsLoopback(settings.Listen));

    /// <summary>
    /// A site whose name was made to mean this machine would else be this machine's own page to a browser (DNS rebinding).
    /// </summary>
    public HttpRefusal? CheckHost(HostString host) => !isLocal || LocalNames.Contains(host.Host, StringComparer.OrdinalIgnoreCase)
        ? null
        : new(StatusCodes.Status421MisdirectedRequest,
            $"This silo answers as {string.Join(", ", LocalNames)} only; use one of these names.");

    /// <summary>What the caller may do, or why nothing.</summary>
    public (HttpRole Role, HttpRefusal? Refusal) RoleOf(HttpRequest request)
    {
        if (request.Query.Keys.Any(key => TokenNames.Contains(key, StringComparer.OrdinalIgnoreCase)))
            return (default, new(StatusCodes.Status400BadRequest,
                "A token does not belong into a URL, where logs and histories keep it; send the header Authorization: Bearer TOKEN, "
                + "and replace this token if it was a real one."));
        if (!NeedsToken) return (isLocal ? HttpRole.Operator : HttpRole.Reader, null);
        var given = request.Headers.Authorization is [{ } header] && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            ? header[Scheme.Length..].Trim()
            : "";
        var isOperator = @operator?.Is(given) ?? false; // both are always compared
        var isReader = reader?.Is(given) ?? false;
        return isOperator ? (HttpRole.Operator, null)
            : isReader ? (HttpRole.Reader, null)
            : (default, new(StatusCodes.Status401Unauthorized, given.Length == 0
                ? "This silo asks for a token; send the header Authorization: Bearer TOKEN."
                : "The token is not one of this silo's; ask whoever started it."));
    }

    /// <summary>What speaks against a change by a caller whose role is known.</summary>
    public HttpRefusal? CheckChange(HttpRequest request, HttpRole role)
    {
        if (request.ContentLength is > 0 || request.Headers.ContainsKey(HeaderNames.TransferEncoding))
            return new(StatusCodes.Status413PayloadTooLarge, "A POST of this API takes no body; send it without one.");
        if (role != HttpRole.Operator)
            return new(StatusCodes.Status403Forbidden, NeedsToken
                ? "This token may only look; use the operator's."
                : "This silo listens beyond its machine without a token, so that it changes nothing over HTTP; "
                    + "start it with --http-token-file, or use the CLI.");
        return NeedsToken || request.Headers.ContainsKey(OwnHeader)
            ? null
            : new(StatusCodes.Status403Forbidden, $"A change needs the header {OwnHeader}: 1, which other sites' pages cannot send.");
    }
}
