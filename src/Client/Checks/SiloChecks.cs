using System.Diagnostics;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Silo;

namespace Phi3VCluster.Client.Checks;

/// <summary>What the silo says of this machine: it has the native libraries and sees the devices, the CLI does not.</summary>
internal static class SiloChecks
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60); // the first look at a GPU takes its time
    private static readonly JsonSerializerOptions SnakeCase = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static async Task<IReadOnlyList<CheckRow>> AllAsync(CancellationToken interrupted)
    {
        string executable;
        try
        {
            executable = Executable.Silo.Find();
        }
        catch (CommandFailedException missing)
        {
            return [new("silo executable", false, missing.Message)];
        }
        return [new("silo executable", true, executable), .. await AskAsync(executable, interrupted)];
    }

    private static async Task<IReadOnlyList<CheckRow>> AskAsync(string executable, CancellationToken interrupted)
    {
        const string Name = "silo's own checks";
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        deadline.CancelAfter(Deadline);
        using var silo = Process.Start(BackgroundProgram.WithRuntime(
            new(executable, ["--check"]) { RedirectStandardOutput = true, RedirectStandardError = true }))!;
        try
        {
            var errors = silo.StandardError.ReadToEndAsync(deadline.Token);
            var text = await silo.StandardOutput.ReadToEndAsync(deadline.Token);
            await silo.WaitForExitAsync(deadline.Token);
            return Parse(text) ?? [new(Name, false, $"exit code {silo.ExitCode}: {(await errors).Trim()}")];
        }
        catch (OperationCanceledException) when (!interrupted.IsCancellationRequested)
        {
            return [new(Name, false, $"no answer in {Deadline.TotalSeconds} s")];
        }
        finally
        {
            if (!silo.HasExited) silo.Kill(entireProcessTree: true);
        }
    }

    private static CheckRow[]? Parse(string text)
    {
        try
        {
            return JsonSerializer.Deserialize<CheckRow[]>(text, SnakeCase);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
