using System.Text.Json;
using System.Text.Json.Serialization;

namespace Phi3VCluster.Spec;

/// <summary>The run spec as machines exchange and store it: one line of JSON, the same keys as the YAML.</summary>
public static class RunSpecJson
{
    private static readonly JsonSerializerOptions Strict = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
    };

    public static string ToText(RunSpec spec) => JsonSerializer.Serialize(spec, Strict);

    /// <summary>Reads what <see cref="ToText"/> wrote. Keys that are missing keep their defaults; values are not judged.</summary>
    /// <exception cref="InputException">Not JSON, an unknown or repeated key, or a value of the wrong type.</exception>
    public static RunSpec FromText(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<RunSpec>(json, Strict)
                ?? throw new InputException("spec: must be a JSON object, got null; send the run spec.");
        }
        catch (JsonException error)
        {
            throw new InputException($"{error.Path ?? "spec"}: not a run spec, got \"{error.Message}\"; send what this version writes.");
        }
    }
}
