using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class ResumeCommand : Verb
{
    private readonly Argument<string> _run = RunPlace.Argument();
    private readonly Option<long?> _step = new("--step")
    {
        Description = "Go on from the checkpoint of this step; else the newest.",
        HelpName = "N",
    };
    private readonly Option<string[]> _set = SpecSource.SetOption();
    private readonly Option<bool> _wait = new("--wait")
    {
        Description = "Stay until the run has ended. With no cluster, start a local one for it.",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public ResumeCommand() : base("resume", "Go on with a run that failed, was cancelled, or lost its cluster: same id, same folder.",
        "phi3v resume last --set cluster.maxRanks=4 --wait")
    {
        Arguments.Add(_run);
        foreach (var option in (Option[])[_step, _set, _wait, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (address, step) = (ClusterAddress.Find(parsed.GetValue(_cluster)), parsed.GetValue(_step));
        var run = new EarlierRun(await RunPlace.FindAsync(parsed.GetRequiredValue(_run), address, interrupted));
        FolderClaim.RequireFree(run.Folder);
        if (address is null) await RequireEndedAsync(Path.GetFileName(run.Folder), interrupted);
        run.RequireUnfinished();
        run.RequireCheckpoint(step);
        var spec = SpecSource.Check(run.SpecToGoOn(parsed.GetRequiredValue(_set)), address, output);
        var moved = step is { } wanted ? run.SetAsideAfter(wanted) : [];
        foreach (var (from, to) in moved) output.Line($"{Path.GetFileName(from)} is set aside, in {to}");
        try
        {
            return await SubmitCommand.SubmitAsync(
                new(spec, run.Folder), parsed.GetValue(_wait), parsed.GetValue(_cluster), output, interrupted);
        }
        catch (Exception error) when (error is InputException or NoClusterException) // nothing has begun
        {
            foreach (var (from, to) in moved) Directory.Move(to, from);
            throw;
        }
    }

    /// <summary>A cluster that is asked to go on with a run knows whether it has it; one that is up and not asked may have it.</summary>
    /// <exception cref="InputException">It has.</exception>
    private static async Task RequireEndedAsync(string run, CancellationToken interrupted)
    {
        if (UpState.Running() is not { } up) return;
        await using var cluster = await ClusterConnection.OpenQuicklyAsync(new("127.0.0.1", up.GatewayPort), interrupted);
        if ((await cluster.RunsAsync()).Any(known => known.Run == run && !known.IsFinal))
            throw new InputException($"run: {run} is in progress in the cluster that is up; end it first: `phi3v cancel {run}`.");
    }
}
