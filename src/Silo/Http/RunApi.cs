using System.ComponentModel;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Silo.Http;

/// <summary>Calls about runs.</summary>
internal static class RunApi
{
    private static readonly ApiParameter FromLine = new("from", 0, 0, long.MaxValue, "Number of the first line, from 0.");
    private static readonly ApiParameter FromStep = new("from", 1, 1, long.MaxValue, "The first step.");
    private static readonly ApiParameter Points =
        new("points", 600, 1, 5000, "Most points: where there are more steps, each point is several.");
    private static readonly ApiParameter FromSample = new("from", 0, 0, int.MaxValue, "Number of the first sample, from 0.");
    private static readonly ApiParameter Count = new("count", 24, 1, 500, "Most samples.");

    public static readonly IReadOnlyList<ApiRoute> Routes =
    [
        new("GET", "/runs", "All runs, the newest first.", typeof(RunRow),
            async call => (await call.AnswerAsync(call.Cluster.RunsAsync())).Select(RunRow.Of)) { IsList = true },
        new("GET", "/runs/{run}", "One run.", typeof(RunRow), async call => RunRow.Of(await call.StatusAsync())),
        new("GET", "/runs/{run}/log", "The run's story, from a line on. Old lines of a long run are gone.", typeof(LogReply), LogAsync)
            { Parameters = [FromLine] },
        new("GET", "/runs/{run}/steps", "The committed steps as columns, from a step on.", typeof(StepSeries),
            async call => StepsFile.Read(await FolderAsync(call), call.Number(FromStep), (int)call.Number(Points)))
            { Parameters = [FromStep, Points] },
        new("GET", "/runs/{run}/predictions", "What the model said to held-out samples before training and after it.",
            typeof(PredictionsReply),
            async call => Predictions.Read(await FolderAsync(call)).Page((int)call.Number(FromSample), (int)call.Number(Count)))
            { Parameters = [FromSample, Count] },
        new("GET", "/runs/{run}/samples/{index}", "A held-out sample's question, and how many images it has.", typeof(SampleReply),
            async call => await SampleFiles.QuestionAsync(await FolderAsync(call), call.Index("index"), call.Gone)),
        new("GET", "/runs/{run}/samples/{index}/images/{image}", "One of its images, both numbers from 0.", typeof(Image),
            async call => await SampleFiles.ImageAsync(await FolderAsync(call), call.Index("index"), call.Index("image"), call.Gone)),
        new("POST", "/runs/{run}/cancel", "Ends a run, wherever it is; returns at once.", typeof(RunRow),
            async call => RunRow.Of(await call.AnswerAsync(call.Run.CancelAsync()))),
    ];

    private static async Task<object> LogAsync(ApiCall call)
    {
        var page = await call.AnswerAsync(call.Run.LogAsync(call.Number(FromLine)));
        return new LogReply(call.Id("run"), page.First, page.Next, page.Lines);
    }

    /// <summary>The run's folder, as this silo sees it.</summary>
    private static async Task<RunOutput> FolderAsync(ApiCall call) => new(call.Id("run"), call.Node, (await call.StatusAsync()).Output);
}

/// <summary>Lines of a run's log.</summary>
internal sealed record LogReply(
    string Run,
    [property: Description("Number of the first line here; more than was asked for if older lines are gone.")] long First,
    [property: Description("What to ask for next.")] long Next,
    [property: Description("Each begins with its time in ISO 8601.")] IReadOnlyList<string> Lines);
