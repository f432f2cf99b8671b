using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Checks.Nodes;

/// <summary>What the nodes' ranks compute with, and whether GPUs of several ranks can meet by NCCL.</summary>
internal static class DeviceCheck
{
    /// <returns>Null where no node answers.</returns>
    public static CheckRow? Row(IReadOnlyList<(string Node, DeviceFinding Devices)> found)
    {
        if (found.Count == 0) return null;
        var broken = found.Where(one => one.Devices.Problem is not null).Select(one => (one.Node, one.Devices.Problem!)).ToArray();
        if (broken.Length > 0)
            return new("nodes' devices", false, $"{ByNode.Say(broken)}; `phi3v-silo --check` on the node says more");
        var words = ByNode.Say(found.Select(one => (one.Node, one.Devices.Words)));
        var withGpus = found.Where(one => one.Devices.Gpus > 0).ToArray();
        return withGpus.Sum(one => one.Devices.Gpus) < 2 || withGpus.DistinctBy(one => one.Devices.NcclVersion).Count() == 1
            && withGpus[0].Devices.NcclVersion > 0
            ? new("nodes' devices", true, words)
            : new("nodes' devices", false, $"{words}; give all nodes with GPUs the same NCCL (PHI3V_NCCL names one): "
                + "without it gradients go over tcp by way of the host");
    }
}
