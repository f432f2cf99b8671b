using System.CommandLine;
using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Hub;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class DownloadCommand : Verb
{
    private const int MostParallel = 32;

    private readonly Argument<string> _kind = new("KIND") { Description = "model or dataset.", CompletionSources = { HubRepo.Kinds } };
    private readonly Argument<string> _repo = new("REPO") { Description = "The repository, as OWNER/NAME." };
    private readonly Option<string?> _to = new("--to")
    {
        Description = "Folder for the files. Default: the repository's name, here.",
        HelpName = "DIR",
    };
    private readonly Option<string> _revision = new("--revision")
    {
        Description = "Branch, tag or commit.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "main",
    };
    private readonly Option<string[]> _include = new("--include")
    {
        Description = "Only files whose path matches, where * stands for anything; may be repeated.",
        HelpName = "GLOB",
    };
    private readonly Option<int> _parallel = new("--parallel")
    {
        Description = "Files at a time.",
        HelpName = "N",
        DefaultValueFactory = _ => 4,
    };

    public DownloadCommand() : base("download",
        "Fetch a model or a dataset from the Hugging Face hub: safetensors and data, never pickles or code. Heeds HF_TOKEN, HF_ENDPOINT.",
        "phi3v download model microsoft/Phi-3-vision-128k-instruct --to models/phi-3-vision")
    {
        Arguments.Add(_kind);
        Arguments.Add(_repo);
        foreach (var option in (Option[])[_to, _revision, _include, _parallel]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var clock = Stopwatch.StartNew();
        var parallel = parsed.GetValue(_parallel);
        if (parallel is < 1 or > MostParallel)
            throw new InputException($"--parallel: must be 1 to {MostParallel}, got {parallel}; choose another.");
        var repo = HubRepo.Parse(parsed.GetRequiredValue(_kind), parsed.GetRequiredValue(_repo), parsed.GetRequiredValue(_revision));
        var folder = Folder(parsed.GetValue(_to) ?? repo.ShortName);

        var timing = new HubTiming();
        using var http = new HubHttp(HubEndpoint.FromEnvironment(), timing);
        var progress = new DownloadProgress(Lasting(output));
        var download = new HubDownload(http, timing, progress);
        var plan = await download.PlanAsync(repo, parsed.GetValue(_include) ?? [], interrupted);
        DiskRoom.Check(DiskRoom.Needed(plan.Choice.Taken, folder), DiskRoom.Free(folder), folder);
        foreach (var line in DownloadView.Plan(plan, folder)) output.Line(line);

        var results = await FetchAsync(download, plan, folder, parallel, new(output, progress, plan.Bytes), output, interrupted);
        var (received, seconds) = (progress.ReceivedBytes, clock.Elapsed.TotalSeconds);
        output.Result(DownloadView.Document(plan, folder, results, received, seconds),
            to => DownloadView.Show(to, folder, results, received, seconds));
        var failed = results.Where(r => r.State == FileState.Failed).ToArray();
        foreach (var result in failed) output.Error($"{result.File.Path}: {result.Error}.");
        return failed.Length == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    private static async Task<IReadOnlyList<FileResult>> FetchAsync(HubDownload download, DownloadPlan plan, string folder, int parallel,
        DownloadFollower follower, Output output, CancellationToken interrupted)
    {
        try
        {
            return await follower.UntilEndAsync(download.FetchAsync(plan, folder, parallel,
                result => Lasting(output)(DownloadView.Line(result)), interrupted));
        }
        catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
        {
            output.Line("what has arrived is kept; the same command goes on from there");
            throw;
        }
    }

    // Lines between those of a live view would tear it; it shows the same.
    private static Action<string> Lasting(Output output) => output.IsLive ? _ => { } : output.Line;

    private static string Folder(string given)
    {
        var to = UserPath.Expand(given);
        if (RunSpecFiles.Problems(new RunSpec { Output = to }) is { Count: > 0 } problems)
            throw new InputException([.. problems.Select(p => $"--to{p["output".Length..]}")]);
        return Path.GetFullPath(to);
    }
}
