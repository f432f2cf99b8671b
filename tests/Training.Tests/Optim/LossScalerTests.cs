using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class LossScalerTests
{
    [Fact]
    public void The_first_overflow_is_forgiven_and_the_next_ones_halve_the_scale()
    {
        var scaler = LossScaler.Dynamic();
        Assert.Equal([65536, 32768, 16384], Enumerable.Range(0, 3).Select(_ => After(scaler, overflowed: true)));
    }

    [Fact]
    public void A_window_without_overflow_doubles_it_and_forgives_again()
    {
        var scaler = LossScaler.Dynamic();
        for (var i = 0; i < 999; i++) Assert.Equal(65536, After(scaler, overflowed: false));
        Assert.Equal(131072, After(scaler, overflowed: false));
        Assert.Equal(131072, After(scaler, overflowed: true));
        Assert.Equal(65536, After(scaler, overflowed: true));
        for (var i = 0; i < 999; i++) Assert.Equal(65536, After(scaler, overflowed: false));
        Assert.Equal(131072, After(scaler, overflowed: false));
    }

    [Fact]
    public void It_does_not_fall_below_one()
    {
        var scaler = LossScaler.Dynamic();
        for (var i = 0; i < 16; i++) Assert.False(After(scaler, overflowed: true) < 1 || scaler.IsExhausted, $"overflow {i}");
        Assert.Equal(1, After(scaler, overflowed: true));
        Assert.True(scaler.IsExhausted);
    }

    [Fact]
    public void Without_scaling_it_stays_one()
    {
        var scaler = LossScaler.None();
        Assert.Equal(1, After(scaler, overflowed: true));
        Assert.False(scaler.IsDynamic);
    }

    private static double After(LossScaler scaler, bool overflowed)
    {
        scaler.Update(overflowed);
        return scaler.Scale;
    }
}
