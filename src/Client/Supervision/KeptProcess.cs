using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Supervision;

/// <summary>A process that is started again when it dies. It reads a pipe that this process holds, and ends when the pipe closes.</summary>
/// <param name="changed">Told of each new process, and with null that there is none.</param>
/// <param name="say">Writes a line of the supervisor's log.</param>
/// <param name="mostDeaths">In a minute, before it is given up; null: never.</param>
internal sealed class KeptProcess(
    string name, string logFile, Func<CancellationToken, Task<Process>> start, Action<int?> changed, Action<string> say,
    int? mostDeaths = null)
{
    private const int SignalBase = 128;

    private readonly Restarts _restarts = new(TimeProvider.System);
    private Process? _process;

    /// <exception cref="CommandFailedException">It ended at its start.</exception>
    /// <exception cref="InputException">It refused its options.</exception>
    public async Task StartAsync(CancellationToken stop)
    {
        _process = await start(stop);
        changed(_process.Id);
    }

    /// <summary>Starts it again whenever it has died.</summary>
    /// <exception cref="CommandFailedException">It dies too often.</exception>
    public async Task KeepAsync(CancellationToken stop)
    {
        while (true)
        {
            await _process!.WaitForExitAsync(stop);
            changed(null);
            var (wait, how) = (_restarts.Next(), $"{name} (process {_process.Id}) ended, {End(_process.ExitCode)}");
            if (_restarts.Recent > mostDeaths)
                throw new CommandFailedException(
                    $"{how}, for the {_restarts.Recent}th time in a minute; {logFile} ends with:\n{BackgroundProgram.Tail(logFile)}");
            say($"{how}; it is started again in {wait.TotalSeconds} s; its log is {logFile}");
            await Task.Delay(wait, stop);
            try
            {
                await StartAsync(stop);
                say($"{name} is back, process {_process.Id}");
            }
            catch (Exception error) when (error is CommandFailedException or InputException)
            {
                say(error.Message); // the old process has ended: one more death
            }
        }
    }

    public async Task StopAsync(TimeSpan patience)
    {
        if (_process is null) return;
        _process.StandardInput.Close();
        using var deadline = new CancellationTokenSource(patience);
        await _process.WaitForExitAsync(deadline.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }

    private static string End(int exitCode) =>
        exitCode > SignalBase ? $"killed by signal {exitCode - SignalBase}" : $"exit code {exitCode}";
}
