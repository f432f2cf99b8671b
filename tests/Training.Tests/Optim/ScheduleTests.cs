using System.Text.Json;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class ScheduleTests
{
    public static TheoryData<string> Names() => [.. Catalog<ILearningRateSchedule>.All.Select(schedule => schedule.Name)];

    public static TheoryData<string> Trajectories() => [.. Trajectory.Names()];

    [Theory, MemberData(nameof(Names))]
    public void Every_schedule_rises_from_zero_to_the_peak_in_the_warm_up(string name)
    {
        var rates = Enumerable.Range(1, 6).Select(step => Find(name).RateAt(step, 100, 5, 2.0)).ToArray();

        Assert.Equal([0, 0.4, 0.8, 1.2, 1.6, 2], rates.Select(rate => Math.Round(rate, 12)));
    }

    [Theory, MemberData(nameof(Names))]
    public void No_schedule_leaves_the_range_from_zero_to_the_peak(string name)
    {
        foreach (var (total, warmUp) in new[] { (1L, 0), (1L, 50), (10L, 10), (1000L, 50) })
            for (var step = 1L; step <= total; step++) Assert.InRange(Find(name).RateAt(step, total, warmUp, 1e-3), 0, 1e-3);
    }

    [Fact]
    public void Without_warm_up_the_first_step_runs_at_the_peak()
    {
        Assert.All(Catalog<ILearningRateSchedule>.All, schedule => Assert.Equal(3e-4, schedule.RateAt(1, 10, 0, 3e-4)));
    }

    [Fact]
    public void Linear_and_cosine_are_half_way_down_in_the_middle()
    {
        Assert.Equal(0.5, Find("linear").RateAt(61, 110, 10, 1));
        Assert.Equal(0.5, Find("cosine").RateAt(61, 110, 10, 1), 1e-15);
        Assert.Equal(0.02, Find("linear").RateAt(109, 110, 10, 1));
        Assert.Equal(1, Find("constant").RateAt(109, 110, 10, 1));
    }

    [Theory, MemberData(nameof(Trajectories)), Trait("Category", "Parity")]
    public void The_rates_of_a_recorded_run_are_reproduced_exactly(string folder)
    {
        using var trajectory = Trajectory.Read(folder);
        var run = trajectory.RootElement;
        var steps = run.GetProperty("steps").EnumerateArray().ToArray();
        var schedule = Find(run.GetProperty("schedule").GetString()!);
        var (warmUp, peak) = (run.GetProperty("warmup_steps").GetInt32(), run.GetProperty("learning_rate").GetDouble());

        var rates = steps.Select(step => schedule.RateAt(step.GetProperty("step").GetInt64(), steps.Length, warmUp, peak));

        Assert.Equal(steps.Select(step => step.GetProperty("learning_rate").GetDouble()), rates);
    }

    private static ILearningRateSchedule Find(string name) => Catalog<ILearningRateSchedule>.Find(name, "test");
}
