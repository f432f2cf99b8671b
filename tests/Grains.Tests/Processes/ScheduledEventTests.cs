using System.Globalization;
using Phi3VCluster.Silo.Eviction;

namespace Phi3VCluster.Grains.Tests.Processes;

public sealed class ScheduledEventTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 28, 12, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("Preempt", "gpu_1", 30, true)]
    [InlineData("preempt", "GPU_1", 30, true)]
    [InlineData("Terminate", "gpu_1", 60, true)]
    [InlineData("Reboot", "gpu_1", 60, true)]
    [InlineData("Reboot", "gpu_1", 840, false)] // told a quarter of an hour ahead
    [InlineData("Redeploy", "gpu_1", null, true)] // it has begun
    [InlineData("Freeze", "gpu_1", 0, false)] // seconds, which a run outlives
    [InlineData("Preempt", "gpu_2", 30, false)] // another's: a scale set's machines hear of all of it
    public void Only_what_ends_this_machine_soon_empties_it(string kind, string machine, int? seconds, bool ends)
    {
        var notBefore = seconds is null ? "" : Now.AddSeconds(seconds.Value).ToString("R", CultureInfo.InvariantCulture);

        Assert.Equal(ends, new ScheduledEvent("e", kind, ["gpu_0", machine], "Scheduled", notBefore).EndsSoon("gpu_1", Now));
    }

    [Fact]
    public void One_without_machines_is_nobodys() =>
        Assert.False(new ScheduledEvent("e", "Preempt", null, null, null).EndsSoon("gpu_1", Now));
}
