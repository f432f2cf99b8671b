using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Phi3VCluster.Silo.Http;

/// <summary>JSON as the CLI's <c>--json</c> writes it: snake_case, numbers in full precision, "NaN" for what has diverged.</summary>
internal static class ApiJson
{
    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // it is served as JSON, never inside HTML
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public static Task WriteAsync(HttpResponse response, int status, object document)
    {
        response.StatusCode = status;
        return response.WriteAsJsonAsync(document, document.GetType(), Options);
    }
}
