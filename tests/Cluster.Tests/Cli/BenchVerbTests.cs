using System.Text.Json;
using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Cluster.Tests.Cli;

/// <summary>The built CLI: the speed table on this machine's CPU, with a silo that it starts and stops.</summary>
public sealed class BenchVerbTests : IDisposable
{
    /// <summary>Eight pages of 2,443 tokens take a while on what a busy machine leaves.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly CliSandbox _cli = new();

    public void Dispose() => _cli.Dispose();

    [Fact]
    public async Task A_CPU_runs_its_row_on_a_small_model_and_lists_the_others_with_the_reason()
    {
        await using var bench = _cli.Start("bench", "--table", "speed", "--method", "lora", "--seconds", "0.01", "--json");
        var end = await bench.EndAsync(Patience);
        Assert.True(end.ExitCode == 0, $"{end}");
        var table = JsonDocument.Parse(end.Stdout).RootElement;

        Assert.Equal(("speed", "cpu"), (table.GetProperty("table").GetString(), table.GetProperty("device").GetString()));
        Assert.False(table.GetProperty("released_size").GetBoolean());
        Assert.Equal(2443, table.GetProperty("page_tokens").GetDouble());
        var rows = table.GetProperty("rows").EnumerateArray().ToList();
        Assert.Equal(("lora", "fp32"), (rows[0].GetProperty("method").GetString(), rows[0].GetProperty("precision").GetString()));
        Assert.All((string[])["images_per_second", "speedup", "peak_gb", "mfu", "steps"],
            key => Assert.True(rows[0].GetProperty(key).GetDouble() > 0, key));
        Assert.All(rows.Skip(1), row => Assert.Equal("needs 8 GPUs, this machine has none", row.GetProperty("not_run").GetString()));
        Assert.Equal(3, rows.Count);
        Assert.Empty(_cli.Processes("phi3v-silo"));
    }

    [Theory]
    [InlineData("--table: unknown, got sped; did you mean speed?", "--table", "sped")]
    [InlineData("--seconds: must be above 0 and at most 3600, got -1;", "--table", "speed", "--seconds", "-1")]
    [InlineData("--method: unknown, got lorra; did you mean lora?", "--table", "speed", "--method", "lorra")]
    [InlineData("Option '--table' is required.")]
    public async Task A_wrong_option_is_named_with_what_was_given(string message, params string[] arguments)
    {
        var result = await _cli.RunAsync(["bench", .. arguments]);

        Assert.Equal((2, ""), (result.ExitCode, result.Stdout));
        Assert.StartsWith($"phi3v: {message}", result.Stderr);
    }

    [Fact]
    public async Task Interrupted_it_ends_with_130_and_leaves_no_silo()
    {
        await using var bench = _cli.Start("bench", "--table", "speed", "--seconds", "3600");
        await Eventually.Holds(
            () => bench.Stderr.Contains("full, CPU", StringComparison.Ordinal), Patience, "the first row begins");

        bench.Signal(RunningProcess.Interrupt);

        Assert.Equal(130, (await bench.EndAsync(CliSandbox.Timeout)).ExitCode);
        Assert.Empty(_cli.Processes("phi3v-silo"));
    }
}
