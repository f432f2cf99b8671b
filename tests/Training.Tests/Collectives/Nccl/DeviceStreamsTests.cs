using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Collectives.Nccl;

/// <summary>What code may rely on, whether work is put on streams or done by the calling thread.</summary>
public sealed class DeviceStreamsTests
{
    [Theory]
    [InlineData("inline")]
    [InlineData("cuda")]
    public void What_one_stream_waits_for_on_another_passes_once_it_is_done(string kind)
    {
        using var standIn = new StandIn();
        IDeviceStreams streams = kind == "cuda" ? standIn.Streams(0) : new HostStreams();
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
