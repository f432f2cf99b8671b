using System.Diagnostics;
using System.Text.Json;

namespace Phi3VCluster.Deploy.Tests;

/// <summary>A silo that is a cluster of its own, for its HTTP port.</summary>
internal sealed class LocalSilo : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1), Poll = TimeSpan.FromMilliseconds(50);

    private readonly Process _process;
    private readonly string _folder;

    private LocalSilo(Process process, string folder, int port) =>
        (_process, _folder, Http) = (process, folder, new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") });

    public HttpClient Http { get; }

    public static async Task<LocalSilo> StartAsync()
    {
        var folder = Directory.CreateTempSubdirectory("phi3v-").FullName;
        var ready = Path.Combine(folder, "ready");
        var process = Process.Start(new ProcessStartInfo(Program.Built("Silo", "phi3v-silo"),
        [
            "--gateway-port", "0", "--silo-port", "0", "--http-port", "0", "--ranks", "1", "--until-stdin-closes", "--log-level", "None",
            "--data", Path.Combine(folder, "data"), "--ready-file", ready,
        ])
        { RedirectStandardInput = true })!;
        for (var since = Stopwatch.StartNew(); !File.Exists(ready); await Task.Delay(Poll))
            Assert.True(since.Elapsed < Patience && !process.HasExited, "the silo did not start");
        return new(process, folder, JsonDocument.Parse(await File.ReadAllTextAsync(ready)).RootElement.GetProperty("http_port").GetInt32());
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
