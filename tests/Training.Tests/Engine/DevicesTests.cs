using Phi3VCluster.Spec;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Training.Tests.Engine;

public sealed class DevicesTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    [Fact]
    public void Many_at_a_time_are_never_given_the_same_device()
    {
        var devices = new Devices(8);

        var claims = new DeviceClaim[8];
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i => claims[i] = devices.Claim(Long));

        Assert.Equal(Enumerable.Range(0, 8), claims.Select(claim => claim.Index).Order());
        var error = Assert.Throws<InputException>(() => devices.Claim(TimeSpan.Zero));
        Assert.StartsWith("cluster.device: every CUDA device of ", error.Message);
    }

    [Fact]
    public async Task Whoever_waits_gets_the_device_that_is_given_back_and_once_only()
    {
        var devices = new Devices(1);
        var first = devices.Claim(Long);
        var second = Task.Run(() => devices.Claim(Long));
        Assert.False(second.IsCompleted);

        first.Dispose();

        Assert.Equal(0, (await second).Index);
        first.Dispose(); // it is not his any more
        Assert.Throws<InputException>(() => devices.Claim(TimeSpan.Zero));
    }
}
