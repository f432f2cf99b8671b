using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo;

/// <summary>
/// Refuses to join silos that this one cannot live with: one that has its name, for ranks are addressed by it and of two nodes one would
/// vanish (cloned machines share host names); and one of another machine where either of both is at an address that means itself to
/// everybody. Those are two clusters that were given one Redis. They would take each other for an earlier self, and end each other.
/// </summary>
internal static class OtherSilos
{
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongSilent = TimeSpan.FromMinutes(1); // its entry is an old one, whoever has the port now

    /// <summary>Before this silo joins: because of any other that is there.</summary>
    /// <exception cref="InputException">Names the other.</exception>
    public static Task RequireNoneInTheWayAsync(IServiceProvider services, SiloSettings settings) =>
        RequireAsync(services, settings, _ => true);

    /// <summary>After this silo has joined: of two that started together, the later one goes.</summary>
    /// <exception cref="InputException">Names the other.</exception>
    public static Task RequireFirstAsync(IServiceProvider services, SiloSettings settings)
    {
        var own = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        return RequireAsync(services, settings, other => other.Generation < own.Generation
            || (other.Generation == own.Generation && other.CompareTo(own) < 0));
    }

    private static async Task RequireAsync(IServiceProvider services, SiloSettings settings, Func<SiloAddress, bool> mayStay)
    {
        var own = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        var table = services.GetRequiredService<IMembershipTable>();
        await table.InitializeMembershipTableAsync(tryInitTableVersion: true, CancellationToken.None);
        foreach (var (other, _) in (await table.ReadAllAsync(CancellationToken.None)).Members)
        {
            if (other.Status is not (SiloStatus.Active or SiloStatus.Joining) || other.SiloAddress.Equals(own)) continue;
            if (DateTime.UtcNow - other.IAmAliveTime > LongSilent || !mayStay(other.SiloAddress)) continue;
            if (IsOfAnotherCluster(other, own))
                throw new InputException($"--redis: '{settings.Redis}' has another cluster, of node '{other.SiloName}' at "
                    + $"{other.SiloAddress.Endpoint} on {other.HostName}, and this silo would be at {own.Endpoint} on {Dns.GetHostName()}: "
                    + "127.0.0.1 is another machine to each. For one cluster, give every silo its machine's own address (--advertise); "
                    + "for two, give this one another Redis.");
            if (await HasNameAsync(other, own, settings.Node))
                throw new InputException($"--node: must be unique in the cluster, got '{settings.Node}', which is the node at "
                    + $"{other.SiloAddress.Endpoint} on {other.HostName}; choose another name (--node or PHI3V_NODE), or stop that one.");
        }
    }

    private static bool IsOfAnotherCluster(MembershipEntry other, SiloAddress own) => other.HostName != Dns.GetHostName()
        && (IPAddress.IsLoopback(own.Endpoint.Address) || IPAddress.IsLoopback(other.SiloAddress.Endpoint.Address));

    private static async Task<bool> HasNameAsync(MembershipEntry other, SiloAddress own, string name) => other.SiloName == name
        && !other.SiloAddress.Endpoint.Equals(own.Endpoint) // what had our port before and is gone
        && await AnswersAsync(other.SiloAddress.Endpoint);

    /// <summary>A node that was killed refuses the connection, and its host may be gone: neither keeps its name.</summary>
    private static async Task<bool> AnswersAsync(IPEndPoint at)
    {
        using var patience = new CancellationTokenSource(AnswerPatience);
        using var socket = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(at, patience.Token);
            return true;
        }
        catch (Exception gone) when (gone is SocketException or OperationCanceledException)
        {
            return false;
        }
    }
}
