using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Storage;
using Phi3VCluster.Grains.Checks;
using Phi3VCluster.Grains.Nodes;
using Phi3VCluster.Grains.Queue;
using Phi3VCluster.Grains.Ranks;
using Phi3VCluster.Grains.Runs;

namespace Phi3VCluster.Grains;

/// <summary>Puts the control plane into a silo.</summary>
public static class GrainsHosting
{
    /// <summary>
    /// The control plane on this silo. The caller adds clustering, a grain storage called <see cref="StateStore.Name"/>, and the
    /// node's <see cref="Training.Engine.IRankWorkers"/> and <see cref="Training.Engine.Checks.INodeProbe"/>.
    /// </summary>
    /// <param name="carriesCoordinators">
    /// False: the cluster's and the runs' grains are never placed here, and others have to carry them.
    /// </param>
    public static ISiloBuilder AddControlPlane(this ISiloBuilder silo, bool carriesCoordinators = true)
    {
        if (!carriesCoordinators) silo.Services.PostConfigure<GrainTypeOptions>(LeaveOutCoordinators);
        silo.Services.AddPlacementDirector<NodePlacement, NodePlacementDirector>();
        silo.Services.TryAddSingleton(TimeProvider.System);
        silo.Services.TryAddSingleton(new RunTimings());
        silo.Services.TryAddSingleton(new ClusterShape(Grows: true));
        silo.Services.TryAddSingleton(new StateStoreName("its store"));
        silo.Services.AddSingleton<StateStoreProbe>();
        silo.Services.AddSingleton<SiloLiveness>();
        silo.Services.AddSingleton<IGrainStorageSerializer, JsonStateSerializer>();
        silo.Services.TryAddSingleton(new DrainGrace(TimeSpan.FromSeconds(25)));
        silo.Services.AddSingleton<Heartbeat>();
        silo.Services.AddHostedService(services => services.GetRequiredService<Heartbeat>());
        silo.Services.AddHostedService<RankReports>();
        silo.Services.AddHostedService<Drain>(); // the last: it stops first, and the others' voices are needed until it has
        return silo.Configure<ClusterMembershipOptions>(DetectFailuresFast);
    }

    private static void LeaveOutCoordinators(GrainTypeOptions grains)
    {
        grains.Classes.Remove(typeof(ClusterGrain));
        grains.Classes.Remove(typeof(RunGrain));
    }

    /// <summary>A training step waits for its slowest rank, so a dead node must be noticed in seconds, not a dozen.</summary>
    private static void DetectFailuresFast(ClusterMembershipOptions options)
    {
        options.ProbeTimeout = TimeSpan.FromSeconds(1);
        // Times the missed probes it is how long a connection's last sign of life keeps a silent silo alive: four times the probe's, 12 s.
        options.MaxProbeTimeout = TimeSpan.FromSeconds(2);
        options.NumMissedProbesLimit = 3;
        options.NumVotesForDeathDeclaration = 2;
        options.TableRefreshTimeout = TimeSpan.FromSeconds(5);
        options.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(5);
    }
}
