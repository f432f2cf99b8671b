using System.Globalization;
using System.Net;
using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;
using Phi3VCluster.Monitoring.Tests.Rules;

namespace Phi3VCluster.Monitoring.Tests.Live;

/// <summary>A Prometheus that scrapes silos each second and has this project's rules.</summary>
internal sealed class PrometheusServer : IAsyncDisposable
{
    private readonly RunningProcess _process;
    private readonly HttpClient _http;

    private PrometheusServer(RunningProcess process, int port) =>
        (_process, _http) = (process, new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}/api/v1/") });

    /// <param name="silos">Addresses with ports.</param>
    /// <param name="authority">Of the certificates that they show; null where they are asked in the clear.</param>
    public static async Task<PrometheusServer> StartAsync(CliSandbox sandbox, IEnumerable<string> silos, string? authority = null)
    {
        Promtool.Require("prometheus");
        var config = sandbox.Write("prometheus.yml", $$"""
            global: { scrape_interval: 1s, evaluation_interval: 1s }
            rule_files: ["{{RuleFile.Folder}}/*.yml"]
            scrape_configs:
              - job_name: phi3v
                scheme: {{(authority is null ? "http" : "https")}}
                tls_config: { ca_file: {{authority ?? "\"\""}} }
                static_configs: [{ targets: [{{string.Join(", ", silos.Select(silo => $"\"{silo}\""))}}] }]
            """);
        var port = FreePorts.One();
        var process = RunningProcess.Start("prometheus",
            [$"--config.file={config}", $"--storage.tsdb.path={sandbox.At("tsdb")}", $"--web.listen-address=127.0.0.1:{port}"]);
        var server = new PrometheusServer(process, port);
        try
        {
            await Eventually.Holds(async () => await server.FindsAsync("up == 1"), CliSandbox.Timeout,
                () => $"Prometheus scrapes a silo\n{process.Stderr}");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Whether an expression has a series now.</summary>
    public async Task<bool> FindsAsync(string expression)
    {
        try
        {
            return (await AskAsync(expression, isInstant: true)).Count > 0;
        }
        catch (HttpRequestException) // it is not up yet, or reads its rules
        {
            return false;
        }
    }

    /// <summary>The series of an expression, now or over the last minutes.</summary>
    /// <exception cref="Xunit.Sdk.XunitException">Prometheus does not understand it.</exception>
    public async Task<IReadOnlyList<JsonElement>> AskAsync(string expression, bool isInstant)
    {
        var now = DateTimeOffset.UtcNow;
        var text = Uri.EscapeDataString(expression);
        var answer = await JsonAsync(isInstant
            ? $"query?query={text}"
            : $"query_range?query={text}&start={Unix(now.AddMinutes(-5))}&end={Unix(now)}&step=1");
        Assert.True(answer.GetProperty("status").GetString() == "success", $"{expression}: {answer}");
        return [.. answer.GetProperty("data").GetProperty("result").EnumerateArray()];
    }

    /// <summary>The only value that an expression has now.</summary>
    public async Task<double> ValueAsync(string expression) => double.Parse(
        Assert.Single(await AskAsync(expression, isInstant: true)).GetProperty("value")[1].GetString()!, CultureInfo.InvariantCulture);

    /// <summary>Each rule's name, how it fared, and why.</summary>
    public async Task<IReadOnlyList<(string Name, string Health, string Error)>> RulesAsync() =>
    [
        .. from rules in (await JsonAsync("rules")).GetProperty("data").GetProperty("groups").EnumerateArray()
           from rule in rules.GetProperty("rules").EnumerateArray()
           select (rule.GetProperty("name").GetString()!, rule.GetProperty("health").GetString()!,
               rule.TryGetProperty("lastError", out var error) ? error.GetString()! : ""),
    ];

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _process.DisposeAsync();
    }

    private async Task<JsonElement> JsonAsync(string path)
    {
        using var answer = await _http.GetAsync(path);
        if (answer.StatusCode >= HttpStatusCode.InternalServerError) answer.EnsureSuccessStatusCode(); // its reason is no JSON
        return JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
    }

    private static string Unix(DateTimeOffset at) => at.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
}
