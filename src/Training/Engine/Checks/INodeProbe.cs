namespace Phi3VCluster.Training.Engine.Checks;

/// <summary>What a node can tell of itself and of its way to others. Calls may block, and come from any thread.</summary>
public interface INodeProbe
{
    /// <summary>The node's clock.</summary>
    DateTimeOffset Now { get; }

    /// <summary>When the certificate of its connections ends; null where it has none.</summary>
    DateTimeOffset? CertificateEnd { get; }

    /// <summary>What its ranks compute with.</summary>
    DeviceReport Devices();

    /// <summary>Opens an end as its ranks do.</summary>
    /// <exception cref="Collectives.CollectiveException">It cannot listen at the address that it gives others.</exception>
    IPeerEndpoint Open();

    /// <summary>Goes to an end of another node as its ranks would, until both have greeted each other, and leaves.</summary>
    /// <param name="address">As <see cref="IPeerEndpoint.Address"/> says it.</param>
    /// <param name="stop">Nothing is waited for any longer.</param>
    Reach Reach(string address, CancellationToken stop);
}

/// <summary>What came of going to another node's end.</summary>
/// <param name="Detail">What the outcome alone does not say; may be empty.</param>
public sealed record Reach(ReachOutcome Outcome, string Detail = "");

/// <summary>How far one came. The numbers travel between nodes.</summary>
public enum ReachOutcome
{
    Reached,
    /// <summary>Its machine, or a firewall in its place, says that nobody listens.</summary>
    Refused,
    /// <summary>The network knows no way there.</summary>
    NoRoute,
    /// <summary>Nothing came back.</summary>
    TimedOut,
    /// <summary>One of both does not believe the other's certificate, or has none.</summary>
    NotTrusted,
    Failed,
}
