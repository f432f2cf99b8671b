using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Monitoring.Tests;

/// <summary>Prometheus's own checker, of Debian's package prometheus.</summary>
internal static class Promtool
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    /// <summary>Skips the test, with that reason, where there is no such program.</summary>
    public static void Require(string program = "promtool") => Assert.SkipUnless(
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, program))),
        $"{program} is not installed; apt-get install prometheus brings it");

    /// <param name="input">For its standard input.</param>
    public static async Task<ProcessResult> RunAsync(string[] arguments, string? input = null)
    {
        Require();
        await using var promtool = RunningProcess.Start("promtool", arguments);
        if (input is not null) await promtool.WriteAsync(input);
        return await promtool.EndAsync(Patience);
    }

    public static async Task SucceedsAsync(params string[] arguments)
    {
        var result = await RunAsync(arguments);
        Assert.True(result.ExitCode == 0, $"promtool {string.Join(' ', arguments)}: {result}");
    }
}
