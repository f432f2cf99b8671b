using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;
using Phi3VCluster.Client.App;

namespace Phi3VCluster.Client.Hub;

/// <summary>
/// One GET, redirects included. They are followed here and not by the library, since the token goes to the hub alone: large files come
/// from other hosts, by addresses that are signed already.
/// </summary>
internal sealed class HubHttp(HubEndpoint endpoint, HubTiming timing) : IDisposable
{
    private const int MostRedirects = 10;

    private readonly HttpClient _client = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        ConnectTimeout = TimeSpan.FromSeconds(15),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5), // names are looked up again meanwhile
    })
    {
        Timeout = Timeout.InfiniteTimeSpan, // large files take as long as they take; silence is watched for instead
    };

    private volatile bool _hasAnswered;

    public HubEndpoint Endpoint => endpoint;

    /// <param name="from">The first byte wanted.</param>
    /// <param name="unchanged">With <paramref name="from"/>: only if the bytes are still those of this tag, else all of them.</param>
    /// <returns>An answer that is no redirect, of any status, with its body still to be read.</returns>
    /// <exception cref="PassingException">Nobody answers.</exception>
    public async Task<HttpResponseMessage> GetAsync(Uri uri, long from, EntityTagHeaderValue? unchanged, CancellationToken cancelled)
    {
        for (var (hop, trusted) = (0, true); hop <= MostRedirects; hop++)
        {
            trusted &= endpoint.IsOwn(uri); // once away, a way back does not bring the token back
            using var request = new HttpRequestMessage(HttpMethod.Get, uri);
            request.Headers.UserAgent.Add(new("phi3v", "1"));
            request.Headers.AcceptEncoding.Add(new("identity"));
            if (trusted && endpoint.Token is { } token) request.Headers.Authorization = new("Bearer", token);
            if (from > 0) request.Headers.Range = new(from, null);
            if (from > 0 && unchanged is not null) request.Headers.IfRange = new(unchanged);

            var response = await WatchAsync(
                silent => _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, silent), cancelled);
            _hasAnswered = true;
            if (!IsRedirect(response.StatusCode)) return response;
            using (response) uri = Next(uri, response.Headers.Location);
        }
        throw new CommandFailedException($"{uri.Host}: redirects more than {MostRedirects} times; is {HubEndpoint.AddressVariable} right?");
    }

    /// <summary>Waits for the network, with an end to its silence.</summary>
    /// <param name="wait">Not for the disk's errors, which are of the same type as the network's.</param>
    /// <exception cref="PassingException">The connection failed, or nothing came.</exception>
    public async Task<T> WatchAsync<T>(Func<CancellationToken, Task<T>> wait, CancellationToken cancelled)
    {
        using var silence = new CancellationTokenSource(timing.Silence, timing.Clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(silence.Token, cancelled);
        try
        {
            return await wait(either.Token);
        }
        catch (Exception error) when (error is HttpRequestException { InnerException: AuthenticationException })
        {
            throw new CommandFailedException($"the hub's certificate is not trusted: {error.InnerException!.Message}");
        }
        // Once somebody has answered, the name is right and the network is there: it may come back.
        catch (HttpRequestException error) when (error.HttpRequestError == HttpRequestError.NameResolutionError && !_hasAnswered)
        {
            throw new CommandFailedException($"the hub's name is not known ({Reason(error)}); is there a network, and is "
                + $"{HubEndpoint.AddressVariable} right?");
        }
        catch (Exception error) when (error is HttpRequestException or IOException)
        {
            throw new PassingException($"the connection failed ({Reason(error)})");
        }
        catch (OperationCanceledException) when (!cancelled.IsCancellationRequested)
        {
            throw new PassingException($"nothing came for {timing.Silence.TotalSeconds:0.#} s");
        }
    }

    public void Dispose() => _client.Dispose();

    private static bool IsRedirect(HttpStatusCode status) => status is HttpStatusCode.MovedPermanently or HttpStatusCode.Found
        or HttpStatusCode.SeeOther or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;

    internal static Uri Next(Uri from, Uri? location)
    {
        var to = location is null ? null : new Uri(from, location);
        if (to is null || !HubEndpoint.IsWeb(to)) throw new CommandFailedException($"{from.Host}: redirects to nowhere, got {location}.");
        if (from.Scheme == Uri.UriSchemeHttps && to.Scheme != Uri.UriSchemeHttps)
            throw new CommandFailedException($"{from.Host}: redirects from https to http, got {to.Host}; that is not followed.");
        return to;
    }

    private static string Reason(Exception error) => (error.InnerException ?? error) switch
    {
        HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded } => "it ended too early",
        var cause => cause.Message.TrimEnd('.'),
    };
}
