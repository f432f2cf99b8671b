using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>The silo's executable, as a user starts it, on ports of its own.</summary>
internal sealed class SiloProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _errors = new();

    private SiloProcess(IEnumerable<string> args)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "phi3v-silo"), args)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DOTNET_ROOT"] =
            Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "../../.."));
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, line) => _errors.AppendLine(line.Data);
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public JsonElement Ready { get; private set; }

    public string Errors => _errors.ToString();

    /// <summary>Starts a silo of two ranks and waits until it takes calls.</summary>
    public static Task<SiloProcess> StartAsync(string folder, params string[] args) => StartBareAsync(folder, ["--ranks", "2", .. args]);

    /// <summary>Starts a silo with nothing but ports and folders of its own, and waits until it takes calls.</summary>
    public static async Task<SiloProcess> StartBareAsync(string folder, params string[] args)
    {
        var readyFile = Path.Combine(folder, $"ready-{Guid.NewGuid():N}");
        var silo = Begin(folder, ["--gateway-port", "0", "--silo-port", "0", "--http-port", "0", "--ready-file", readyFile, .. args]);
        await Eventually.SeeAsync($"the silo is ready, or has ended with: {silo.Errors}",
            () => File.Exists(readyFile) || silo._process.HasExited);
        Assert.False(silo._process.HasExited, silo.Errors);
        silo.Ready = JsonDocument.Parse(await File.ReadAllTextAsync(readyFile)).RootElement;
        return silo;
    }

    /// <summary>Starts a silo and does not wait.</summary>
    public static SiloProcess Begin(string folder, params string[] args) =>
        new(["--until-stdin-closes", "--data", Path.Combine(folder, "data"), .. args]);

    /// <summary>Runs the executable to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(params string[] args)
    {
        await using var silo = new SiloProcess(args);
        var output = await silo._process.StandardOutput.ReadToEndAsync();
        return (await silo.ExitAsync(), output, silo.Errors);
    }

    public void CloseStandardInput() => _process.StandardInput.Close();

    public void Kill() => _process.Kill();

    /// <summary>Freezes the process whole, as a node does whose host swaps or is paused, and lets it go on.</summary>
    public async Task FreezeAsync(TimeSpan time)
    {
        Signal("STOP");
        await Task.Delay(time);
        Signal("CONT");
    }

    public async Task<int> ExitAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await _process.WaitForExitAsync(patience.Token);
        return _process.ExitCode;
    }

    public void Terminate() => Signal("TERM");

    private void Signal(string name) => Process.Start("kill", [$"-{name}", $"{_process.Id}"]).WaitForExit();

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
