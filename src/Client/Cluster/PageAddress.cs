using Phi3VCluster.Client.Silo;

namespace Phi3VCluster.Client.Cluster;

/// <summary>Where a browser finds the page of a cluster on this machine.</summary>
internal static class PageAddress
{
    public static string Of(int httpPort, string? run = null, bool hasTls = false) =>
        $"{(hasTls ? "https" : "http")}://127.0.0.1:{httpPort}/{(run is null ? "" : $"#/runs/{Uri.EscapeDataString(run)}")}";

    /// <summary>Null where it is not known: a gateway elsewhere does not tell its silo's HTTP port.</summary>
    public static string? Of(ClusterAddress cluster, string run) =>
        cluster.IsThisMachine && UpState.Running() is { } up
        && up.Silos.FirstOrDefault(silo => silo.GatewayPort == cluster.Port) is { } silo
            ? Of(silo.HttpPort, run, up.PageHasTls)
            : null;
}
