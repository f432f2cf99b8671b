namespace Phi3VCluster.Training.Native;

/// <summary>The CPU as a device: whoever calls does the work, so that all of it is done and in order when the call returns.</summary>
internal sealed class HostStreams : IDeviceStreams
{
    public string Identity => "cpu";

    public void Use() { }

    public nint Current() => 0;

    public nint CreateStream() => 0;

    public void DestroyStream(nint stream) { }

    public nint CreateEvent() => 0;

    public void DestroyEvent(nint happening) { }

    public void Record(nint happening, nint stream) { }

    public void Wait(nint stream, nint happening) { }

    public bool IsPassed(nint happening) => true;

    public bool IsIdle(nint stream) => true;
}
