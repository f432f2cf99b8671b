using System.Text.Encodings.Web;
using System.Text.Json;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Runs;

/// <summary>What the cluster knows of a run that ended, and its log: after a while it will know neither.</summary>
internal static class EndText
{
    private static readonly JsonSerializerOptions Form = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // people read it
        WriteIndented = true,
    };

    public static string Of(RunStatus final, RunLog log) => JsonSerializer.Serialize(
        new
        {
            final.Run,
            State = final.State.ToString().ToLowerInvariant(),
            final.Error,
            final.Step,
            final.TotalSteps,
            final.WorldSize,
            final.Generation,
            final.Generations,
            final.SubmittedAt,
            final.StartedAt,
            final.FinishedAt,
            Log = log.Lines,
        },
        Form);
}
