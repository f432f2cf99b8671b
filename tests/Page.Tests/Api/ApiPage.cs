using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Phi3VCluster.Silo.Http;

namespace Phi3VCluster.Page.Tests.Api;

/// <summary>Writes <c>docs/http-api.md</c> from the calls that the silo answers.</summary>
internal static class ApiPage
{
    private const string Introduction = """
        # The HTTP API

        Every silo answers at its HTTP port (`--http-port`, 8080), under `/api/v1`, for the whole cluster; its [page](page.md) is made of
        these calls alone. This page is written by a test from the code.

        Replies are JSON: keys in snake_case as the CLI's `--json` has them, numbers in full precision, `"NaN"` for what has diverged, times
        in ISO 8601. A failure is a status and `{"error": "what was wrong, and what to do"}`: 400 a wrong parameter, 401 no token or a wrong
        one, 403 not allowed, 404 no such thing, 409 it cannot be done now, 413 a body, 415 an image that browsers do not show, 421 a wrong
        host name, 503 the cluster does not answer.

        Steps, predictions and images are read from the run's folder and data files. A silo that does not see them says so in `problem`: ask
        one of the run's nodes, or use folders that all share.

        ## Who may ask

        | silo | GET | POST |
        | --- | --- | --- |
        | on this machine only, no token | everybody on it | everybody on it, with the header `X-Phi3V: 1` |
        | beyond it (`--advertise`), no token | everybody | nobody |
        | `--http-token-file FILE` | the token | the token |
        | and `--http-read-token-file FILE` | either token | the first token |

        A token is 16 to 512 printable characters (`openssl rand -hex 32`), sent as `Authorization: Bearer TOKEN` and compared in constant
        time. A token in a URL is refused. The files are read when the silo starts; `PHI3V_HTTP_TOKEN_FILE` and `PHI3V_HTTP_READ_TOKEN_FILE`
        name them too. `/health` and `/metrics` need no token, nor do the page's own files, which hold no data. HTTP is not encrypted:
        beyond a trusted network, put a proxy with TLS before it, or an SSH tunnel.

        `X-Phi3V` cannot be sent by pages of other sites. A silo on this machine answers to `localhost`, `127.0.0.1` and `[::1]` only. A
        POST takes no body. Refusals are logged with the caller's address.

            curl -s localhost:8080/api/v1/runs
            curl -s -H "Authorization: Bearer $(cat token)" http://gpu-1:8080/api/v1/nodes
            curl -s -X POST -H 'X-Phi3V: 1' localhost:8080/api/v1/runs/RUN/cancel

        """;

    public static string Text()
    {
        var page = new StringBuilder(Introduction).AppendLine().AppendLine("## Calls\n")
            .AppendLine("| call | what it does | reply |").AppendLine("| --- | --- | --- |");
        foreach (var route in Silo.Http.Api.Routes)
            page.AppendLine(CultureInfo.InvariantCulture,
                $"| `{route.Method} {route.Path}` | {route.Does}{ParametersOf(route)} | {ReplyOf(route)} |");
        page.AppendLine("\n## Replies");
        foreach (var shape in Shapes()) Describe(page, shape);
        return page.ToString();
    }

    private static string ParametersOf(ApiRoute route) => string.Concat(route.Parameters.Select(p => string.Create(
        CultureInfo.InvariantCulture,
        $"<br>`{p.Name}`: {p.Meaning} Usually {p.Usual}{(p.Most < int.MaxValue ? $", {p.Most} at most" : "")}.")));

    private static string ReplyOf(ApiRoute route) => route.Reply == typeof(Image) ? "a PNG, JPEG, GIF or WebP file"
        : route.IsList ? $"list of [{Name(route.Reply)}](#{Anchor(route.Reply)})" : $"[{Name(route.Reply)}](#{Anchor(route.Reply)})";

    private static void Describe(StringBuilder page, Type shape)
    {
        page.AppendLine(CultureInfo.InvariantCulture, $"\n### {Name(shape)}\n")
            .AppendLine("| key | kind | what it is |").AppendLine("| --- | --- | --- |");
        foreach (var property in Properties(shape))
            page.AppendLine(CultureInfo.InvariantCulture,
                $"| `{JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name)}` | {Kind(property)} "
                + $"| {property.GetCustomAttribute<DescriptionAttribute>()?.Description} |");
    }

    /// <summary>Those of the replies, each followed by those that only it is made of.</summary>
    private static IEnumerable<Type> Shapes()
    {
        var seen = new List<Type>();
        foreach (var route in Silo.Http.Api.Routes.Where(route => route.Reply != typeof(Image))) Add(route.Reply);
        return seen;

        void Add(Type shape)
        {
            if (seen.Contains(shape)) return;
            seen.Add(shape);
            foreach (var part in Properties(shape).Select(property => Part(property.PropertyType)).Where(IsShape)) Add(part);
        }
    }

    private static IEnumerable<PropertyInfo> Properties(Type shape) =>
        shape.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.Name != "EqualityContract");

    private static string Kind(PropertyInfo property)
    {
        var (type, part) = (property.PropertyType, Part(property.PropertyType));
        var name = IsShape(part) ? $"[{Name(part)}](#{Anchor(part)})" : part == typeof(string) ? "text"
            : part == typeof(DateTimeOffset) ? "time" : part == typeof(double) ? "number" : "whole number";
        var isNullable = Nullable.GetUnderlyingType(type) is not null
            || new NullabilityInfoContext().Create(property).ReadState == NullabilityState.Nullable;
        return (type.IsGenericType && Nullable.GetUnderlyingType(type) is null ? "list of " : "") + name + (isNullable ? " or null" : "");
    }

    private static Type Part(Type type) => type.IsGenericType ? type.GetGenericArguments()[0] : type;

    private static bool IsShape(Type type) => type.Namespace!.StartsWith("Phi3VCluster", StringComparison.Ordinal);

    private static string Name(Type shape) => JsonNamingPolicy.SnakeCaseLower.ConvertName(shape.Name).Replace('_', ' ');

    private static string Anchor(Type shape) => Name(shape).Replace(' ', '-');
}
