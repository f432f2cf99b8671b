using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Commands;

internal sealed class LogsCommand : RunVerb
{
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    private readonly Option<bool> _follow = new("--follow") { Description = "Go on until the run has ended." };

    public LogsCommand() : base("logs", "What a run has logged.", "phi3v logs quickstart-1 --follow", readsFolders: true) =>
        Options.Add(_follow);

    protected override bool EndsWithReader => true;

    protected override int FromRecord(RunStatus known, Output output)
    {
        var (file, silo) = (LocalRuns.LogFile(known.Output), Path.Combine(known.Output, "silo.log"));
        var lines = File.Exists(file) ? File.ReadAllLines(file) : WrittenEnd.Read(known.Output)?.Log
            ?? throw new CommandFailedException($"{known.Run} left no log in its folder; "
                + (File.Exists(silo) ? $"what its silo said is in {silo}." : "its cluster has it."));
        output.Result(new { known.Run, First = 0L, Next = (long)lines.Count, Lines = lines }, to =>
        {
            foreach (var line in lines) to.Line(line);
        });
        return ExitCode.Done;
    }

    protected override async Task<int> AskAsync(
        ClusterConnection cluster, string run, ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var first = await cluster.LogAsync(run, 0);
        var lines = new List<string>();
        Take(first.Lines);
        var next = first.Next;
        while (parsed.GetValue(_follow))
        {
            // In this order: lines that come between the two questions are still fetched.
            var ended = (await cluster.StatusAsync(run)).IsFinal;
            var page = await cluster.LogAsync(run, next);
            Take(page.Lines);
            next = page.Next;
            if (ended) break;
            await Task.Delay(Poll, interrupted);
        }
        output.Result(new { Run = run, first.First, Next = next, Lines = lines }, _ => { });
        return ExitCode.Done;

        void Take(IReadOnlyList<string> page)
        {
            if (output.Json) lines.AddRange(page);
            else foreach (var line in page) output.Line(line);
        }
    }
}
