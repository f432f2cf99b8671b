using Phi3VCluster.Grains.Nodes;

namespace Phi3VCluster.Silo;

/// <summary>What those ask who watch over the silo, a Kubernetes' probes for example. The answer's text is the silo's status.</summary>
internal static class Health
{
    public const string Any = "/health", Live = "/health/live", Ready = "/health/ready";

    public static void MapHealth(this WebApplication app)
    {
        app.MapGet(Any, (IClusterMembershipService membership, ILocalSiloDetails silo) =>
            Answer(Status(membership, silo), status => status == SiloStatus.Active));

        // A silo that the others have declared dead cannot come back but by a restart.
        app.MapGet(Live, (IClusterMembershipService membership, ILocalSiloDetails silo) =>
            Answer(Status(membership, silo), status => status != SiloStatus.Dead));

        // Until the cluster has answered a heartbeat nobody gives the node a run, and a gateway leads nowhere.
        app.MapGet(Ready, (IClusterMembershipService membership, ILocalSiloDetails silo, Heartbeat heartbeat) =>
            Answer(Status(membership, silo), status => status == SiloStatus.Active && heartbeat.Registered.IsCompleted));
    }

    private static SiloStatus Status(IClusterMembershipService membership, ILocalSiloDetails silo) =>
        membership.CurrentSnapshot.GetSiloStatus(silo.SiloAddress);

    private static IResult Answer(SiloStatus status, Func<SiloStatus, bool> isWell) => Results.Text($"{status}\n",
        statusCode: isWell(status) ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
}
