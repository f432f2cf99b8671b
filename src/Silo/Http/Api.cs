using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo.Http;

/// <summary>The API: its calls, and how each is answered. docs/http-api.md is written from here.</summary>
internal static partial class Api
{
    public const string Root = "/api/v1";

    public static readonly IReadOnlyList<ApiRoute> Routes = [.. ClusterApi.Routes, .. RunApi.Routes];

    public static void MapApi(this WebApplication app, SiloSettings settings)
    {
        foreach (var route in Routes)
            app.MapMethods(Root + route.Path, [route.Method], http => AnswerAsync(http, route, settings, app.Logger));
        app.Map(Root + "/{**rest}", http => ApiJson.WriteAsync(http.Response, StatusCodes.Status404NotFound, new ApiError(
            $"There is no such call, got {http.Request.Method} {Shown.Value(http.Request.Path)}; docs/http-api.md lists them.")));
    }

    private static async Task AnswerAsync(HttpContext http, ApiRoute route, SiloSettings settings, ILogger log)
    {
        try
        {
            var reply = await route.Answer(new(http, settings));
            if (reply is Image image) await WriteImageAsync(http.Response, image);
            else await ApiJson.WriteAsync(http.Response, StatusCodes.Status200OK, reply);
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody waits for it any more.
        }
        catch (Exception error) when (!http.Response.HasStarted)
        {
            var (status, words) = Words(error);
            if (status == StatusCodes.Status500InternalServerError) Failed(log, route.Path, error);
            await ApiJson.WriteAsync(http.Response, status, new ApiError(words));
        }
    }

    private static (int Status, string Words) Words(Exception error) => error switch
    {
        ApiException refused => (refused.Status, refused.Message),
        RunNotFoundException => (StatusCodes.Status404NotFound, error.Message),
        InputException wrong => (StatusCodes.Status409Conflict, string.Join(" ", wrong.Problems)),
        OrleansException or TimeoutException or OperationCanceledException =>
            (StatusCodes.Status503ServiceUnavailable, $"The cluster does not answer now ({error.Message}); try again."),
        _ => (StatusCodes.Status500InternalServerError, $"The silo failed at this: {error.Message}"),
    };

    private static Task WriteImageAsync(HttpResponse response, Image image)
    {
        response.ContentType = image.ContentType;
        response.ContentLength = image.Bytes.Length;
        response.Headers.CacheControl = "private, max-age=3600"; // the file of a run's sample does not change
        return response.Body.WriteAsync(image.Bytes).AsTask();
    }

    [LoggerMessage(LogLevel.Error, "A call of {Path} failed.")]
    private static partial void Failed(ILogger log, string path, Exception error);
}
