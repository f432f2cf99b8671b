namespace Phi3VCluster.Grains.Runs;

/// <summary>How long a run's coordinator waits for what.</summary>
public sealed record RunTimings
{
    /// <summary>How often deadlines are looked at.</summary>
    public TimeSpan Tick { get; init; } = TimeSpan.FromMilliseconds(250);
    /// <summary>Until a seat that was not heard of is told again that it is taken.</summary>
    public TimeSpan AskAgain { get; init; } = TimeSpan.FromSeconds(1);
    /// <summary>A seat that loads and gets no further for so long is given back; a model is read from slow disks.</summary>
    public TimeSpan Load { get; init; } = TimeSpan.FromMinutes(2);
    /// <summary>For the reports of all seats, before a generation is made without some that are there.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromSeconds(3);
    /// <summary>From the first seat that has parted at a boundary until the others are told to break off.</summary>
    public TimeSpan Part { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>From an abort until a seat that has not parked is given up.</summary>
    public TimeSpan Park { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>From the end of a run until its seats are not waited for any longer.</summary>
    public TimeSpan Stop { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>
    /// A rank that does nothing for so long while others wait for it hangs; in a step, where steps took longer, four times the slowest of
    /// the last; in other stages, which have waits of their own, five times this.
    /// </summary>
    public TimeSpan Hang { get; init; } = TimeSpan.FromMinutes(1);
    /// <summary>Seats that wait are let in so long after the newest of them was ready,</summary>
    public TimeSpan AdmitAfterNewest { get; init; } = TimeSpan.FromSeconds(2);
    /// <summary>and at most so long after the first.</summary>
    public TimeSpan AdmitAfterFirst { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>How long the run goes on without a seat whose connections broke, the first time.</summary>
    public TimeSpan LeaveOut { get; init; } = TimeSpan.FromMinutes(1);
    /// <summary>A boundary that a stopping node waits for becomes an abort after so long: half of its grace.</summary>
    public TimeSpan HurryAfter { get; init; } = TimeSpan.FromSeconds(12);
}
