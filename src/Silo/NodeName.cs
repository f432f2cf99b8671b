using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Silo;

/// <summary>
/// Refuses a second node of one name: ranks are addressed by it, and of two nodes one would vanish. Cloned machines share host names.
/// </summary>
internal static class NodeName
{
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongSilent = TimeSpan.FromMinutes(1); // its entry is an old one, whoever has the port now

    /// <summary>Before this silo joins: of no other node that answers.</summary>
    /// <exception cref="InputException">Names the other node.</exception>
    public static Task RequireFreeAsync(IServiceProvider services, SiloSettings settings) => RequireAsync(services, settings, _ => true);

    /// <summary>After this silo has joined: of two that started together, the later one goes.</summary>
    /// <exception cref="InputException">Names the other node.</exception>
    public static Task RequireFirstAsync(IServiceProvider services, SiloSettings settings)
    {
        var own = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        return RequireAsync(services, settings, other => other.Generation < own.Generation
            || (other.Generation == own.Generation && other.CompareTo(own) < 0));
    }

    private static async Task RequireAsync(IServiceProvider services, SiloSettings settings, Func<SiloAddress, bool> refuses)
    {
        var own = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        var table = services.GetRequiredService<IMembershipTable>();
        await table.InitializeMembershipTableAsync(tryInitTableVersion: true, CancellationToken.None);
        foreach (var (entry, _) in (await table.ReadAllAsync(CancellationToken.None)).Members)
        {
            if (entry.SiloName != settings.Node) continue;
            if (entry.SiloAddress.Endpoint.Equals(own.Endpoint)) continue; // ourselves, or what had our port before and is gone
            if (entry.Status is not (SiloStatus.Active or SiloStatus.Joining)) continue;
            if (DateTime.UtcNow - entry.IAmAliveTime > LongSilent || !refuses(entry.SiloAddress)) continue;
            if (await AnswersAsync(entry.SiloAddress.Endpoint))
                throw new InputException($"--node: must be unique in the cluster, got '{settings.Node}', which is the node at "
                    + $"{entry.SiloAddress.Endpoint} on {entry.HostName}; choose another name (--node or PHI3V_NODE), or stop that one.");
        }
    }

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
