namespace Phi3VCluster.Training.Native;

/// <summary>
/// The order of one device's work: streams run beside each other, each in its own order; events order one stream after another.
/// Streams and events are handles; 0 is the default stream. Where work is done by the calling thread there is nothing to order.
/// </summary>
internal interface IDeviceStreams
{
    /// <summary>What tells this device from every other of its machine, under whatever number processes see it.</summary>
    string Identity { get; }

    /// <summary>Makes the device the calling thread's. First call of every thread that uses the device.</summary>
    void Use();

    /// <summary>The stream on which libtorch puts the calling thread's work.</summary>
    nint Current();

    /// <summary>A stream that waits for nothing it is not told to wait for, served before the others.</summary>
    nint CreateStream();

    void DestroyStream(nint stream);

    nint CreateEvent();

    void DestroyEvent(nint happening);

    /// <summary>The event is what has been put on the stream until now; from then on it can be waited for.</summary>
    void Record(nint happening, nint stream);

    /// <summary>What is put on the stream from now on starts after the event. Does not block the caller.</summary>
    void Wait(nint stream, nint happening);

    /// <summary>Whether all that was recorded is done.</summary>
    bool IsPassed(nint happening);

    /// <summary>Whether all that was put on the stream is done.</summary>
    bool IsIdle(nint stream);
}

/// <summary>The device's runtime refused; after most of its reasons the process can use the device no more.</summary>
public sealed class StreamException(string message) : Exception(message);
