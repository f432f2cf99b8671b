using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Cluster;

/// <summary>A cluster that has a name, so that its address and certificate need not be given each time.</summary>
/// <param name="Cluster">Its gateway, host:port.</param>
/// <param name="Tls">What it is shown of who we are; null for a cluster that asks for nothing.</param>
internal sealed record Context(string Name, string Cluster, TlsFiles? Tls)
{
    [JsonIgnore]
    public ClusterAddress Address => ClusterAddress.Parse(Cluster, $"context {Name}") with { Origin = $", of context {Name}", Tls = Tls };
}

/// <summary>The clusters that have names on this machine, kept in <c>$PHI3V_HOME/contexts.json</c>, and the one that verbs ask.</summary>
internal sealed partial record Contexts
{
    /// <summary>Said in a name's place: no context is in use.</summary>
    public const string None = "none";

    private static readonly JsonSerializerOptions SnakeCase = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
    };

    /// <summary>The name of the one in use; null where none is.</summary>
    public string? Used { get; init; }

    public IReadOnlyList<Context> All { get; init; } = [];

    [JsonIgnore]
    public Context? InUse => All.FirstOrDefault(context => context.Name == Used);

    public static string FilePath => Path.Combine(UpState.Home, "contexts.json");

    /// <exception cref="InputException">The file is none of ours.</exception>
    public static Contexts Read()
    {
        try
        {
            return File.Exists(FilePath) ? JsonSerializer.Deserialize<Contexts>(File.ReadAllText(FilePath), SnakeCase) ?? new() : new();
        }
        catch (JsonException error)
        {
            throw new InputException($"{FilePath}: must be what `phi3v context` writes, got line {error.LineNumber + 1} "
                + "which is not; mend it, or remove the file.");
        }
    }

    /// <exception cref="InputException">Nothing can be kept there.</exception>
    public void Save()
    {
        UpState.MakeHome();
        AtomicFile.Write(FilePath, JsonSerializer.Serialize(this, SnakeCase));
    }

    /// <exception cref="InputException">There is none of that name.</exception>
    public Context Find(string name) => All.FirstOrDefault(context => context.Name == name) ?? throw new InputException(
        $"NAME: there is no such context, got {name}; "
        + (All.Count == 0 ? "`phi3v context set` makes one." : Nearest.Advice(name, [.. All.Select(context => context.Name)])));

    public Contexts With(Context added) =>
        this with { All = [.. Without(added.Name).All.Append(added).OrderBy(context => context.Name, StringComparer.Ordinal)] };

    public Contexts Without(string name) => this with { All = [.. All.Where(context => context.Name != name)] };

    public static bool IsName(string name) => name != None && Name().IsMatch(name);

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z")]
    private static partial Regex Name();
}
