namespace Phi3VCluster.Training.Tests.Collectives.Nccl;

/// <summary>What the collective relies on.</summary>
public sealed class CudaStreamsTests
{
    [Fact]
    public void What_one_stream_waits_for_on_another_passes_once_it_is_done()
    {
        using var standIn = new StandIn();
        var streams = standIn.Streams(0);
        streams.Use();
        var (stream, before, after) = (streams.CreateStream(), streams.CreateEvent(), streams.CreateEvent());

        streams.Record(before, streams.Current());
        streams.Wait(stream, before);
        streams.Record(after, stream);

        Assert.True(SpinWait.SpinUntil(() => streams.IsPassed(after) && streams.IsIdle(stream), TimeSpan.FromSeconds(30)));
        streams.DestroyEvent(before);
        streams.DestroyEvent(after);
        streams.DestroyStream(stream);
        Assert.Equal(0, standIn.Alive);
    }
}
