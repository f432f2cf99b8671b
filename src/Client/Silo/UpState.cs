using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <summary>
/// What <c>phi3v up</c> started, as remembered in <c>$PHI3V_HOME/cluster.json</c>. Of several silos it has the first one's ports.
/// </summary>
/// <param name="ProcessId">The silo; of several, their supervisor, which writes the file anew whenever a process of theirs changes.</param>
/// <param name="Ranks">Of each silo.</param>
internal sealed record UpState(int ProcessId, int GatewayPort, int SiloPort, int HttpPort, string Node, int Ranks, DateTimeOffset Started)
{
    private static readonly JsonSerializerOptions SnakeCase =
        new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    /// <summary>The variables by which a silo's page is HTTPS.</summary>
    public static readonly string[] OfPage = ["PHI3V_HTTP_CERTIFICATE", "PHI3V_HTTP_KEY"];

    public IReadOnlyList<UpSilo> Silos { get; init; } = [];

    /// <summary>Whether its page is HTTPS.</summary>
    public bool PageHasTls { get; init; }

    /// <summary>What several silos share; null where there is one.</summary>
    public UpStore? Store { get; init; }

    /// <summary>Whether its connections are TLS.</summary>
    public bool HasTls { get; init; }

    /// <summary>Why they are gone without anybody having asked for it.</summary>
    public string? Ended { get; init; }

    [JsonIgnore]
    public IEnumerable<int> Gateways => Silos.Select(silo => silo.GatewayPort).Prepend(GatewayPort).Distinct();

    /// <summary>The one to be stopped first: it may stop the others.</summary>
    [JsonIgnore]
    public IEnumerable<EarlierProcess> Processes =>
    [
        new(ProcessId, "--gateway-port", GatewayPort),
        .. from silo in Silos
           where silo.ProcessId is not null
           select new EarlierProcess(silo.ProcessId!.Value, "--gateway-port", silo.GatewayPort),
        .. Store is { ProcessId: { } store } ? (EarlierProcess[])[new(store, "--port", Store.Port)] : [],
    ];

    public static string Home { get; } = Path.GetFullPath(
        Environment.GetEnvironmentVariable("PHI3V_HOME") is { Length: > 0 } home
            ? home
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".phi3v"));

    private static string FilePath => Path.Combine(Home, "cluster.json");

    /// <exception cref="InputException">It is no folder that can be written to.</exception>
    public static void MakeHome()
    {
        try
        {
            Directory.CreateDirectory(Home);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"PHI3V_HOME: cannot be made or written to, got {Home}; set the variable to another folder.");
        }
    }

    /// <summary>Null when none is up. What a silo that died left behind is removed; that several are gone is kept as their end.</summary>
    public static UpState? Running()
    {
        if (Read() is not { Ended: null } state) return null;
        if (state.Processes.Any(process => process.IsAlive)) return state;
        if (state.Store is null) Forget();
        else (state with { Ended = $"its supervisor, process {state.ProcessId}, died, and the silos with it" }).Save();
        return null;
    }

    /// <summary>Why several silos are gone that were not asked to stop; null where that is not so.</summary>
    public static string? LastEnd() => Running() is null ? Read()?.Ended : null;

    public void Save() => AtomicFile.Write(FilePath, JsonSerializer.Serialize(this, SnakeCase));

    public static void Forget() => File.Delete(FilePath);

    private static UpState? Read()
    {
        try
        {
            return JsonSerializer.Deserialize<UpState>(File.ReadAllText(FilePath), SnakeCase);
        }
        catch (Exception error) when (error is IOException or JsonException)
        {
            return null;
        }
    }
}

/// <param name="ProcessId">Null while it is being started.</param>
internal sealed record UpSilo(string Node, int? ProcessId, int GatewayPort, int SiloPort, int HttpPort);

/// <param name="ProcessId">Null while it is being started.</param>
internal sealed record UpStore(int? ProcessId, int Port);
