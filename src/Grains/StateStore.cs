using System.Text.Json;
using Orleans.Storage;

namespace Phi3VCluster.Grains;

/// <summary>Where grains keep what must outlive their silo.</summary>
public static class StateStore
{
    /// <summary>Name of the grain storage that runs and the cluster keep their state in.</summary>
    public const string Name = "phi3v";

    /// <summary>Why a seat stopped that was in its place when its silo ended.</summary>
    internal const string SiloStopped = "its silo stopped";
}

/// <summary>Grain state as plain JSON: the same text in a file and in Redis, readable by people.</summary>
public sealed class JsonStateSerializer : IGrainStorageSerializer
{
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    public BinaryData Serialize<T>(T? input) => new(JsonSerializer.SerializeToUtf8Bytes(input, Options));

    public T? Deserialize<T>(BinaryData input) => JsonSerializer.Deserialize<T>(input, Options);
}
