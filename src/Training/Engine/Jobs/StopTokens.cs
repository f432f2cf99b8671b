using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>
/// The ids that end an answer beside &lt;|endoftext|&gt;, as <c>generation_config.json</c> lists them. A run's own evaluation follows the
/// recipe and ends at &lt;|endoftext|&gt; alone.
/// </summary>
internal static class StopTokens
{
    private const string Key = "eos_token_id";

    /// <exception cref="InputException">The file is there and unsound.</exception>
    public static IReadOnlyList<long> Read(string modelFolder)
    {
        var path = Path.Combine(modelFolder, "generation_config.json");
        if (!File.Exists(path)) return [];
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllText(path));
            if (!document.RootElement.TryGetProperty(Key, out var ends) || ends.ValueKind == JsonValueKind.Null) return [];
            return ends.ValueKind == JsonValueKind.Array ? [.. ends.EnumerateArray().Select(Id)] : [Id(ends)];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InputException($"{path}: " + (FileSignature.InPlaceOfModel(path)
                ?? $"is not a JSON object ({error.Message}); copy the file from the original checkpoint."));
        }

        long Id(JsonElement id) => id.ValueKind == JsonValueKind.Number && id.TryGetInt64(out var number) ? number
            : throw new InputException(
                $"{path}: {Key} must be a token id or a list of them, got {id.GetRawText()}; mend it, or remove the key.");
    }
}
