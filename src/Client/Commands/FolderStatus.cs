using System.Text.Json;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>Where a run is by what its folder says, for one that no cluster can be asked about.</summary>
internal static class FolderStatus
{
    /// <param name="folder">A run's folder of results.</param>
    /// <returns>Null where it is none.</returns>
    public static RunStatus? Of(string folder)
    {
        var path = Path.TrimEndingDirectorySeparator(UserPath.Absolute(folder));
        return File.Exists(Path.Combine(path, "run.yaml")) ? Of(new RunStatus { Run = Path.GetFileName(path), Output = path }) : null;
    }

    /// <param name="known">What a record has of it; stays where that is its end.</param>
    public static RunStatus Of(RunStatus known)
    {
        if (known.IsFinal) return known;
        if (!Directory.Exists(known.Output))
            return known with { Phase = "unknown", WaitingFor = $"its cluster, which does not answer, and {known.Output} is not here" };
        var (folder, report) = (known.Output, WrittenReport.Read(known.Output));
        var status = WithSpec(known) with
        {
            EvalBefore = report.EvalBefore,
            EvalAfter = report.EvalAfter,
            CheckpointStep = RunCheckpoints.Find(folder).FirstOrDefault(one => one.IsComplete)?.Step ?? 0,
        };
        status = WithSteps(status);
        if (report.IsDone) return status with { State = RunState.Done, TotalSteps = status.Step, Epoch = status.Epochs };
        if (WrittenEnd.Read(folder) is { } end) return status with { State = end.State, Error = end.Error, TotalSteps = end.TotalSteps };
        if (FolderClaim.IsTaken(folder)) return status with { State = RunState.Running, Phase = "working", WaitingFor = null };
        var resumes = status.CheckpointStep > 0 ? $"goes on after step {status.CheckpointStep}" : "begins it anew";
        return File.Exists(Path.Combine(folder, "silo.log"))
            ? status with
            {
                State = RunState.Failed,
                Error = "the process that ran it ended before the run did; "
                    + $"`phi3v resume {status.Run} --wait` {resumes}",
            }
            : status with
            {
                State = status.Step > 0 ? RunState.Running : RunState.Queued,
                Phase = "unknown",
                WaitingFor = "its cluster, which does not answer",
            };
    }

    private static RunStatus WithSpec(RunStatus known)
    {
        try
        {
            var spec = RunSpecYaml.ReadFile(Path.Combine(known.Output, "run.yaml"), []).Spec;
            return known with { Name = spec.Name, Epochs = spec.Epochs, Metric = spec.Evaluation.Metric };
        }
        catch (InputException)
        {
            return known; // it has not begun
        }
    }

    private static RunStatus WithSteps(RunStatus known)
    {
        var file = Path.Combine(known.Output, "steps.jsonl");
        if (!File.Exists(file)) return known;
        var (status, seconds) = (known with { SubmittedAt = Or(known.SubmittedAt, File.GetCreationTimeUtc(file)) }, 0.0);
        foreach (var line in File.ReadLines(file))
        {
            if (Parse(line) is not { } step) continue; // half a line
            status = status with
            {
                Step = step.GetProperty("step").GetInt64(),
                Epoch = step.GetProperty("epoch").GetInt32(), // counted from 0: as many are over
                Generation = step.GetProperty("generation").GetInt64(),
                WorldSize = step.GetProperty("world_size").GetInt32(),
                Loss = Number(step, "loss"),
                LearningRate = Number(step, "learning_rate"),
                GradNorm = Number(step, "grad_norm"),
            };
            seconds += Number(step, "seconds") ?? 0;
        }
        return status with { TrainSeconds = seconds };
    }

    private static DateTimeOffset Or(DateTimeOffset known, DateTime other) => known == default ? other : known;

    private static double? Number(JsonElement step, string key) =>
        step.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private static JsonElement? Parse(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
