using System.Net.Http.Json;

namespace Phi3VCluster.Silo.Eviction;

/// <summary>
/// Azure's instance metadata service, which every machine there reaches at <c>http://169.254.169.254</c> and no other can: which machine
/// this is, and what is about to be done to it.
/// </summary>
internal sealed class MachineMetadata : IDisposable
{
    private readonly HttpClient _http;

    public MachineMetadata(Uri root)
    {
        _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) // it is on the machine's own link
        {
            BaseAddress = root,
            Timeout = TimeSpan.FromSeconds(10),
        };
        _http.DefaultRequestHeaders.Add("Metadata", "true");
    }

    /// <summary>Of this machine, as events call it.</summary>
    /// <exception cref="HttpRequestException">No answer, or not a good one.</exception>
    public async Task<string> NameAsync(CancellationToken stop) =>
        (await _http.GetStringAsync("metadata/instance/compute/name?api-version=2021-02-01&format=text", stop)).Trim();

    /// <summary>What is to come, and has begun. The first question of a machine takes up to two minutes, until the service is on.</summary>
    /// <exception cref="HttpRequestException">No answer, or not a good one.</exception>
    public async Task<IReadOnlyList<ScheduledEvent>> EventsAsync(CancellationToken stop) =>
        (await _http.GetFromJsonAsync<Document>("metadata/scheduledevents?api-version=2020-07-01", stop))?.Events ?? [];

    public void Dispose() => _http.Dispose();

    private sealed record Document(IReadOnlyList<ScheduledEvent>? Events);
}
