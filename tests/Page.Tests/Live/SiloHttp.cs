using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Page.Tests.Live;

/// <summary>The HTTP side of a real silo.</summary>
internal sealed class SiloHttp(int port) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = new($"http://127.0.0.1:{port}/"), Timeout = CliSandbox.Timeout };

    public int Port => port;

    public static SiloHttp Of(LocalCluster cluster) => new(cluster.Up.GetProperty("http_port").GetInt32());

    public async Task<JsonElement> GetAsync(string path)
    {
        var (status, body, _) = await SendAsync(HttpMethod.Get, path);
        Assert.True(status == 200, $"GET {path}: {status} {body}");
        return JsonDocument.Parse(body).RootElement;
    }

    public async Task<int> StatusAsync(HttpMethod method, string path, params (string Name, string Value)[] headers) =>
        (await SendAsync(method, path, headers)).Status;

    public async Task<(int Status, string Body, HttpResponseMessage Response)> SendAsync(
        HttpMethod method, string path, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        var response = await _http.SendAsync(request);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(), response);
    }

    public Task<byte[]> BytesAsync(string path) => _http.GetByteArrayAsync(new Uri(path, UriKind.Relative));

    public void Dispose() => _http.Dispose();
}
