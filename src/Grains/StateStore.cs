using System.Text.Json;
using Orleans.Storage;

namespace Phi3VCluster.Grains;

public static class StateStore
{
    /// <summary>Name of the grain storage that runs and the cluster keep their state in.</summary>
    public const string Name = "phi3v";

    /// <summary>Why a run failed that was in progress when its silo ended.</summary>
    internal const string SiloStopped = "the silo stopped while the run was in progress";
}

/// <summary>Grain state as plain JSON: the same text in a file and in Redis, readable by people.</summary>
public sealed class JsonStateSerializer : IGrainStorageSerializer
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    public BinaryData Serialize<T>(T? input) => new(JsonSerializer.SerializeToUtf8Bytes(input, Options));

    public T? Deserialize<T>(BinaryData input) => JsonSerializer.Deserialize<T>(input, Options);
}
