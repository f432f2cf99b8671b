using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Silo;

/// <summary>The silo that <c>phi3v up</c> started, as remembered in <c>$PHI3V_HOME/cluster.json</c>.</summary>
internal sealed record UpState(int ProcessId, int GatewayPort, int SiloPort, int HttpPort, string Node, int Ranks, DateTimeOffset Started)
{
    private static readonly JsonSerializerOptions SnakeCase =
        new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

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

    /// <summary>Null when none is up. What a silo that died left behind is removed.</summary>
    public static UpState? Running()
    {
        UpState? state;
        try
        {
            state = JsonSerializer.Deserialize<UpState>(File.ReadAllText(FilePath), SnakeCase);
        }
        catch (Exception error) when (error is IOException or JsonException)
        {
            return null;
        }
        if (state is not null && SiloProcess.IsAlive(state.ProcessId, state.GatewayPort)) return state;
        Forget();
        return null;
    }

    public void Save()
    {
        var partial = $"{FilePath}.{Environment.ProcessId}";
        File.WriteAllText(partial, JsonSerializer.Serialize(this, SnakeCase));
        File.Move(partial, FilePath, overwrite: true);
    }

    public static void Forget() => File.Delete(FilePath);
}
