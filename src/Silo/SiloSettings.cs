using System.Net;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Silo;

/// <summary>Where and how this silo runs. What it trains is a run's spec, not a setting.</summary>
internal sealed record SiloSettings
{
    /// <summary>Port that clients connect to; 0 takes any free one.</summary>
    public required int GatewayPort { get; init; }
    /// <summary>Port that other silos connect to; 0 takes any free one.</summary>
    public required int SiloPort { get; init; }
    /// <summary>Port of the page, the HTTP API, /health and /metrics; 0 takes any free one.</summary>
    public required int HttpPort { get; init; }
    /// <summary>Name of the node, unique in the cluster.</summary>
    public required string Node { get; init; }
    public SiloRole Role { get; init; }
    /// <summary>Most ranks at a time; 0 for a silo of coordinators.</summary>
    public required int Ranks { get; init; }
    /// <summary>Whether its ranks take GPUs, one each, where there are some.</summary>
    public required bool UsesGpus { get; init; }
    /// <summary>Fewest CUDA devices that it starts with.</summary>
    public int MinGpus { get; init; }
    /// <summary>Folder of the grain state; not used with Redis.</summary>
    public required string Data { get; init; }
    /// <summary>host:port of the Redis that silos find each other in and keep their state in; null: this silo is the cluster.</summary>
    public string? Redis { get; init; }
    /// <summary>Name in Redis's access list; null: its default user.</summary>
    public string? RedisUser { get; init; }
    /// <summary>File that holds the Redis's password; null: it asks for none.</summary>
    public string? RedisPasswordFile { get; init; }
    /// <summary>Authority of the Redis's certificate; null: those that the system believes.</summary>
    public string? RedisAuthority { get; init; }
    /// <summary>Certificate of the HTTP port; null: it is in the clear.</summary>
    public HttpFiles? Http { get; init; }
    /// <summary>File of the token that lets its bearer do everything over HTTP; null: none is asked for.</summary>
    public string? HttpTokenFile { get; init; }
    /// <summary>File of the token that lets its bearer look; null: there is none.</summary>
    public string? HttpReadTokenFile { get; init; }
    /// <summary>Address that others reach this silo at; null: this machine only.</summary>
    public IPAddress? Advertise { get; init; }
    /// <summary>Credentials of its connections to silos and clients; null: they are open.</summary>
    public TlsFiles? Tls { get; init; }
    /// <summary>Stop when standard input ends: the silo dies with whoever holds the other end.</summary>
    public bool UntilStdinCloses { get; init; }
    /// <summary>File that says, once the silo takes calls, how to reach it.</summary>
    public string? ReadyFile { get; init; }
    /// <summary>Threads that its ranks compute with on the CPU, all together.</summary>
    public required int Threads { get; init; }
    /// <summary>How long a silo that is told to stop waits for its ranks to leave at a step's end, where another node can go on.</summary>
    public TimeSpan DrainGrace { get; init; }
    /// <summary>Where to ask whether this machine is to be taken away, an Azure metadata service; null: it is not asked.</summary>
    public Uri? ScheduledEvents { get; init; }
    public LogLevel LogLevel { get; init; } = LogLevel.Warning;

    /// <summary>Listens on this machine only unless others are told an address.</summary>
    public IPAddress Listen => Advertise is null ? IPAddress.Loopback : IPAddress.Any;
}
