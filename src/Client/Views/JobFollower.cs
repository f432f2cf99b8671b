using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Client.Views;

/// <summary>Shows how far a job is, on stderr, for stdout is its answer: a line drawn over itself, or one every two seconds.</summary>
internal sealed class JobFollower : IDisposable
{
    private static readonly TimeSpan PlainEvery = TimeSpan.FromSeconds(2);

    private readonly LiveRegion? _region;
    private readonly Stopwatch _sinceLine = Stopwatch.StartNew();
    private readonly PhaseWatch _watch = new();
    private string _lastLine = "";

    public JobFollower(Output output) => _region = Output.NotesAreLive ? new(output, Console.Error) : null;

    public void Show(ModelJobStatus status)
    {
        var part = status.Total > 0 ? $"{status.Done}/{status.Total}" : "";
        var line = _watch.Line(status.Phase, status.Total > 0 ? (double)status.Done / status.Total : null, part);
        if (_region is not null) _region.Draw([line]);
        else if ((status.Phase, part) is var now && $"{now}" != _lastLine && _sinceLine.Elapsed >= PlainEvery)
        {
            Output.Note(line);
            _lastLine = $"{now}";
            _sinceLine.Restart();
        }
    }

    public void Dispose() => _region?.Clear();
}
