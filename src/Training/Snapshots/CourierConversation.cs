namespace Phi3VCluster.Training.Snapshots;

/// <summary>Questions to one other seat, one after the other.</summary>
public sealed class CourierConversation : IDisposable
{
    private readonly IPeerChannel _channel;
    private readonly CancellationToken _stop;

    internal CourierConversation(IPeerChannel channel, CancellationToken stop) => (_channel, _stop) = (channel, stop);

    /// <summary>Fills <paramref name="to"/> with a range of a rank's part.</summary>
    /// <exception cref="IOException">The seat is gone, or does not hold it.</exception>
    public void Get(StateVersion version, int rank, long offset, ShardMemory to)
    {
        Request(CourierMessage.Of(CourierVerb.Get, version, rank, 0, offset, to.Elements));
        for (var part = 0; part < ShardMemory.Parts; part++)
            foreach (var (start, count) in CourierMessage.Chunks(to.Elements)) _channel.Receive(to.Of(part, start, count), _stop);
    }

    /// <exception cref="IOException">The seat is gone, or does not know.</exception>
    public StateMetadata Metadata(StateVersion version)
    {
        var reply = Request(CourierMessage.Of(CourierVerb.Metadata, version, 0, 0, 0, 0));
        var bytes = new byte[reply.Count];
        _channel.Receive(bytes, _stop);
        return CourierMessage.Unpack(bytes);
    }

    public void Dispose() => _channel.Dispose();

    private CourierMessage Request(CourierMessage message)
    {
        message.Send(_channel, _stop);
        var reply = CourierMessage.Receive(_channel, _stop);
        return reply.Verb == CourierVerb.Done ? reply : throw new IOException($"it does not hold {message.Version}");
    }
}
