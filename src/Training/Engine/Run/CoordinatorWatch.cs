using System.Diagnostics;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Whether a seat still has a coordinator. What trains on without one may train beside others that go on in its place. Told and asked from
/// any thread.
/// </summary>
internal sealed class CoordinatorWatch(TimeSpan patience)
{
    private long _answeredAt; // timestamp; 0 before the first answer: whoever runs seats by hand answers nothing

    public TimeSpan Patience => patience;

    public bool IsSilent => Interlocked.Read(ref _answeredAt) is not 0 and var at && Stopwatch.GetElapsedTime(at) > patience;

    public void Answered() => Interlocked.Exchange(ref _answeredAt, Stopwatch.GetTimestamp());
}
