using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>The HTTP port of a silo with a certificate: nothing that a token opens goes over the wire in the clear.</summary>
public sealed class HttpsTests : IDisposable
{
    private const string Token = "0123456789abcdef0123";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
    private readonly Certificates _certificates;

    public HttpsTests() => _certificates = new(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Page_API_health_and_metrics_are_HTTPS_and_the_token_is_asked_for_as_before()
    {
        var files = _certificates.Server("localhost");
        File.WriteAllText(Path.Combine(_folder, "token"), Token);
        await using var silo = await SiloProcess.StartAsync(
            _folder, [.. Options(files), "--http-token-file", Path.Combine(_folder, "token")]);
        var port = silo.Ready.GetProperty("http_port").GetInt32();
        using var http = Client(files.Authority);

        foreach (var path in (string[])["/", "/health", "/metrics"])
            Assert.True((await http.GetAsync($"https://localhost:{port}{path}")).IsSuccessStatusCode, path);
        Assert.Equal(401, (int)(await http.GetAsync($"https://localhost:{port}/api/v1/runs")).StatusCode);
        http.DefaultRequestHeaders.Authorization = new("Bearer", Token);
        Assert.Equal("[]", (await http.GetStringAsync($"https://localhost:{port}/api/v1/runs")).Trim());

        await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync($"http://localhost:{port}/health"));
        using var stranger = Client(new Certificates(_folder, "other").Server("localhost").Authority);
        await Assert.ThrowsAsync<HttpRequestException>(() => stranger.GetAsync($"https://localhost:{port}/health"));
        var (exitCode, output, _) = await SiloProcess.RunAsync(["--probe", "--http-port", $"{port}", .. Options(files)]);
        Assert.Equal((0, "Active"), (exitCode, output.Trim()));
    }

    [Fact]
    public async Task A_renewed_certificate_is_shown_from_the_next_connection_on()
    {
        var files = _certificates.Server("localhost");
        await using var silo = await SiloProcess.StartAsync(_folder, Options(files));
        var url = $"https://localhost:{silo.Ready.GetProperty("http_port").GetInt32()}/health";
        using (var before = Client(files.Authority)) Assert.True((await before.GetAsync(url)).IsSuccessStatusCode);

        var next = new Certificates(_folder, "renewed").Server("localhost");
        File.Copy(next.Key, files.Key, overwrite: true);
        File.Copy(next.Certificate, files.Certificate, overwrite: true);

        using var after = Client(next.Authority);
        Assert.True((await after.GetAsync(url)).IsSuccessStatusCode);
    }

    [Theory]
    [InlineData("half", "--http-key: must be given with --http-certificate, got nothing; ")]
    [InlineData("mixed", "--http-certificate: must be a certificate and its key in PEM, the key not encrypted, got ")]
    [InlineData("missing", "--http-certificate: must be a certificate and its key in PEM, the key not encrypted, got ")]
    [InlineData("expired", "--http-certificate: must not be over, got ")]
    public async Task A_certificate_that_is_not_good_is_told_before_the_start(string which, string problem)
    {
        var files = which switch
        {
            "mixed" => _certificates.Server("a") with { Key = _certificates.Server("b").Key },
            "missing" => _certificates.Server("a") with { Key = "/nowhere" },
            "expired" => _certificates.Of("old", PeerRole.Silo, DateTimeOffset.UtcNow.AddMinutes(-1)),
            _ => _certificates.Server("a"),
        };

        var (exitCode, _, errors) = await SiloProcess.RunAsync(["--gateway-port", "0", "--silo-port", "0", "--http-port", "0",
            "--data", _folder, .. Options(files)[..(which == "half" ? 2 : 4)]]);

        Assert.Equal(2, exitCode);
        Assert.StartsWith(problem, Assert.Single(errors.Trim().Split('\n')));
    }

    private static string[] Options(TlsFiles files) => ["--http-certificate", files.Certificate, "--http-key", files.Key];

    private static HttpClient Client(string authority) => new(new SocketsHttpHandler
    {
        SslOptions = new SslClientAuthenticationOptions
        {
            CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                CustomTrustStore = { X509CertificateLoader.LoadCertificateFromFile(authority) },
            },
        },
    });
}
