namespace Phi3VCluster.Grains.Interfaces;

/// <param name="SpecJson">The run's spec as JSON text, with absolute paths.</param>
/// <param name="RunId">The run's id, if the sender chose one: to submit the same run again is then harmless.</param>
[GenerateSerializer, Immutable, Alias("phi3v.SubmitRequest")]
public sealed record SubmitRequest(
    [property: Id(0)] string SpecJson,
    [property: Id(1)] string? RunId = null);

/// <param name="RunId">Empty if there are problems.</param>
/// <param name="Output">The run's folder of results; empty if there are problems.</param>
/// <param name="Problems">Each "path: what is wrong, got X; do Y."</param>
[GenerateSerializer, Immutable, Alias("phi3v.SubmitReply")]
public sealed record SubmitReply(
    [property: Id(0)] string RunId,
    [property: Id(1)] string Output,
    [property: Id(2)] IReadOnlyList<string> Problems);

/// <summary>Asks for a run that failed or was cancelled to go on, under its id, from the newest checkpoint in its folder.</summary>
/// <param name="SpecJson">The run's spec as JSON text, with absolute paths.</param>
/// <param name="Output">The run's folder of results.</param>
[GenerateSerializer, Immutable, Alias("phi3v.ResumeRequest")]
public sealed record ResumeRequest(
    [property: Id(0)] string RunId,
    [property: Id(1)] string SpecJson,
    [property: Id(2)] string Output);

/// <summary>A run on its way into the queue.</summary>
/// <param name="Life">How often it was resumed.</param>
/// <param name="FirstSeat">Lowest number for its seats: those below were used in an earlier life.</param>
[GenerateSerializer, Immutable, Alias("phi3v.QueuedRun")]
public sealed record QueuedRun(
    [property: Id(0)] string Run,
    [property: Id(1)] string SpecJson,
    [property: Id(2)] string Output,
    [property: Id(3)] DateTimeOffset SubmittedAt,
    [property: Id(4)] int Life = 0,
    [property: Id(5)] int FirstSeat = 0);
