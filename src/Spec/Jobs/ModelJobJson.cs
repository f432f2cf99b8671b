using System.Text.Json;
using System.Text.Json.Serialization;

namespace Phi3VCluster.Spec.Jobs;

/// <summary>Jobs and their results as they travel between the CLI and a node.</summary>
public static class ModelJobJson
{
    private static readonly JsonSerializerOptions Strict = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a diverged model's loss is NaN
    };

    /// <typeparam name="T"><see cref="ModelJob"/> itself, so that the kind of job is written too, or a result.</typeparam>
    public static string ToText<T>(T value) => JsonSerializer.Serialize(value, Strict);

    /// <exception cref="InputException">Not what this version writes.</exception>
    public static T FromText<T>(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json, Strict) ?? throw new JsonException("null");
        }
        catch (Exception error) when (error is JsonException or NotSupportedException)
        {
            throw new InputException($"job: not a {typeof(T).Name}, got \"{error.Message}\"; use a CLI and a silo of the same version.");
        }
    }
}
