using static TorchSharp.torch;

namespace Phi3VCluster.Training.Collectives;

/// <summary>Lets a collective of host memory serve ranks whose tensors are on a device: by a copy there and one back.</summary>
/// <param name="host">Owned from here on.</param>
/// <param name="note">Why it is not done on the device.</param>
internal sealed class HostStaging(ICollective host, string? note = null) : ICollective
{
    public int Rank => host.Rank;
    public int WorldSize => host.WorldSize;
    public long Generation => host.Generation;
    public bool TakesDeviceMemory => true;
    public string? Note => note;

    public void AllReduce(Tensor buffer) => Staged(buffer, host.AllReduce);

    public void ReduceScatter(Tensor buffer) => Staged(buffer, host.ReduceScatter);

    public void AllGather(Tensor buffer) => Staged(buffer, host.AllGather);

    public IPendingSum BeginAllReduce(Tensor buffer, HalfSum? half = null) => Begun(buffer, copy => host.BeginAllReduce(copy, half));

    public IPendingSum BeginReduceScatter(Tensor buffer, HalfSum? half = null) =>
        Begun(buffer, copy => host.BeginReduceScatter(copy, half));

    public void Abort(string reason) => host.Abort(reason);

    public void Dispose() => host.Dispose();

    private static IPendingSum Begun(Tensor buffer, Func<Tensor, IPendingSum> begin)
    {
        if (buffer.device_type == TorchSharp.DeviceType.CPU) return begin(buffer);
        var copy = buffer.cpu().DetachFromDisposeScope(); // waits for the device
        return new Back(begin(copy), copy, buffer);
    }

    private static void Staged(Tensor buffer, Action<Tensor> operation)
    {
        if (buffer.device_type == TorchSharp.DeviceType.CPU)
        {
            operation(buffer);
            return;
        }
        using var quiet = no_grad();
        using var copy = buffer.cpu(); // waits for the device
        operation(copy);
        buffer.copy_(copy);
    }

    private sealed class Back(IPendingSum sum, Tensor copy, Tensor buffer) : IPendingSum
    {
        private bool _isBack;

        public void Wait()
        {
            sum.Wait();
            if (_isBack) return;
            using var quiet = no_grad();
            buffer.copy_(copy);
            copy.Dispose();
            _isBack = true;
        }
    }
}
