using System.CommandLine;
using System.Text.Json;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

internal sealed class CheckpointsCommand : Verb
{
    private static readonly Column[] Columns = [new("step"), new("generation"), new("size"), new("written", 1), new("folder", 2)];

    private readonly Argument<string> _run = RunPlace.Argument();
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public CheckpointsCommand() : base("checkpoints", "The steps that a run can be resumed or exported from.", "phi3v checkpoints last")
    {
        Arguments.Add(_run);
        Options.Add(_cluster);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var folder = await RunPlace.FindAsync(parsed.GetRequiredValue(_run), ClusterAddress.Find(parsed.GetValue(_cluster)), interrupted);
        var rows = RunCheckpoints.Find(folder).Where(one => one.IsComplete).Select(Row.Of).ToList();
        output.Result(rows, to =>
        {
            if (rows.Count == 0) to.Line($"{Path.GetFileName(folder)} has no checkpoint; checkpoint.everySteps says when one is written.");
            else Tables.Write(to, Columns, rows.Select(row => (string[])
            [
                $"{row.Step}", $"{row.Generation}", Words.Bytes(row.Bytes),
                $"{row.WrittenAt.ToLocalTime():yyyy-MM-dd HH:mm:ss}", row.Folder,
            ]));
        });
        return ExitCode.Done;
    }

    private sealed record Row(long Step, long Generation, long Bytes, DateTime WrittenAt, string Mode, int WorldSize, string Folder)
    {
        public static Row Of(CheckpointEntry entry)
        {
            var manifest = Path.Combine(entry.Folder, RunCheckpoints.Manifest);
            var bytes = new DirectoryInfo(entry.Folder).EnumerateFiles().Sum(file => file.Length);
            try
            {
                using var text = JsonDocument.Parse(File.ReadAllText(manifest));
                var root = text.RootElement;
                return new(entry.Step, entry.Generation, bytes, root.GetProperty("written_at").GetDateTime(),
                    root.GetProperty("mode").GetString()!, root.GetProperty("world_size").GetInt32(), entry.Folder);
            }
            catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
            {
                return new(entry.Step, entry.Generation, bytes, File.GetLastWriteTimeUtc(manifest), "damaged", 0, entry.Folder);
            }
        }
    }
}
