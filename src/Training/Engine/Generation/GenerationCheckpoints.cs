using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// When and by whom the state is written while a generation trains. Replicated, rank 0 writes all of it; sharded, every rank writes its
/// part. Where nodes do not share the folder, a checkpoint is complete on two disks: rank 0's, and that of the first rank with another.
/// </summary>
internal sealed class GenerationCheckpoints
{
    private readonly RunHome _home;
    private readonly ICollective _collective;
    private readonly bool _writes, _completes;
    private readonly bool _isKeptHere = true;
    private readonly IReadOnlyList<string> _elsewhere = []; // who completes it on disks that this rank does not see
    private readonly int _everySteps;
    private bool _saidLate, _saidProblem;
    private long _begun; // the step whose checkpoint was begun last

    /// <summary>All ranks together: they find out whether they see one folder.</summary>
    public GenerationCheckpoints(RunHome home, ICollective collective)
    {
        (_home, _collective, _everySteps) = (home, collective, CheckpointSpec.Of(home.Spec).EverySteps);
        if (_everySteps == 0) return;
        var sees = Seeing(folderOf: 0);
        IsShared = sees.All(one => one);
        var second = Array.IndexOf(sees, false);
        _completes = collective.Rank == 0 || collective.Rank == second;
        _writes = home.State.IsSharded || _completes;
        if (IsShared || home.Transfer is not { } transfer) return;
        (int Keeper, bool IsSeen)[] disks = [(0, sees[collective.Rank]), (second, Seeing(second)[collective.Rank])];
        var addresses = RankMessages.Exchange(collective, Encoding.UTF8.GetBytes(transfer.Address));
        _isKeptHere = disks.Any(disk => disk.IsSeen);
        _elsewhere = [.. disks.Where(disk => !disk.IsSeen).Select(disk => Encoding.UTF8.GetString(addresses[disk.Keeper]))];
    }

    /// <summary>Whether all nodes see one output folder.</summary>
    public bool IsShared { get; } = true;

    /// <summary>A sentence for the run's log where there is something to know; null where there is not.</summary>
    public string? Note =>
        _everySteps == 0 || IsShared ? null : "the nodes do not share the output folder: checkpoints are written on two of them";

    /// <summary>After a committed step, by all ranks together. Copies what is written; the rest happens in the background.</summary>
    /// <returns>What the run should say, if anything: each trouble once, until it has passed.</returns>
    public string? StepCommitted()
    {
        if (!_writes) return null;
        var (step, writer) = (_home.State.Position.Step, _home.Writer);
        var isLate = step % _everySteps == 0 && (IsAnyBusy() || !Start());
        var (sayLate, sayProblem) = (isLate && !_saidLate, writer.Problem is not null && !_saidProblem);
        (_saidLate, _saidProblem) = (_saidLate || isLate, writer.Problem is not null);
        if (sayProblem) return $"a checkpoint could not be written, training goes on: {writer.Problem}";
        return sayLate
            ? $"the checkpoint of step {step} was left out, the one before is still being written; "
                + "a larger checkpoint.everySteps fits"
            : null;
    }

    /// <summary>Writes the state and waits until that is done everywhere.</summary>
    public void WriteNow()
    {
        if (_everySteps == 0) return;
        var before = _home.Clock.Enter(Phase.Checkpoint);
        _home.Writer.Wait();
        if (_writes && _begun != _home.State.Position.Step) Start();
        _home.Writer.Wait();
        RankMessages.Largest(_collective, 0); // nobody goes on before the manifest is there
        _home.Clock.Enter(before);
    }

    /// <summary>A shard that one rank leaves out would keep the others waiting for it.</summary>
    private bool IsAnyBusy() => _home.State.IsSharded && RankMessages.Largest(_collective, _home.Writer.IsBusy ? 1 : 0) > 0;

    private bool Start()
    {
        var before = _home.Clock.Enter(Phase.Snapshot);
        var starts = _home.Writer.Start(PartOf(), _home.State.Optimizer.Copy());
        _home.Clock.Enter(before);
        if (starts) _begun = _home.State.Position.Step;
        return starts;
    }

    private CheckpointPart PartOf()
    {
        var (rank, world) = _home.State.IsSharded ? (_collective.Rank, _collective.WorldSize) : (0, 1);
        var part = StateCheckpoint.PartOf(_home, _collective.Generation, rank, world, _completes);
        return _elsewhere.Count == 0 ? part : part with { IsKeptHere = _isKeptHere, Bring = (file, stop) => Bring(part, file, stop) };
    }

    /// <summary>To all that are to have it, whoever of them cannot take it.</summary>
    private void Bring(CheckpointPart part, CheckpointFile file, CancellationToken stop)
    {
        IOException? lost = null;
        foreach (var address in _elsewhere)
        {
            try
            {
                _home.Transfer!.Send(address, part, file, stop);
            }
            catch (IOException error)
            {
                lost = error;
            }
        }
        if (lost is not null) throw lost;
    }

    /// <param name="folderOf">A rank, which writes something for a moment.</param>
    /// <returns>By rank, whether it sees that.</returns>
    private bool[] Seeing(int folderOf)
    {
        if (_collective.WorldSize == 1) return [true];
        var writes = _collective.Rank == folderOf;
        var name = writes ? $".seen-{Guid.NewGuid():N}" : "";
        var path = Path.Combine(_home.Output, name);
        if (writes)
        {
            Directory.CreateDirectory(_home.Output); // only rank 0's is there for sure
            File.WriteAllBytes(path, []);
        }
        var told = Encoding.UTF8.GetString(RankMessages.Exchange(_collective, Encoding.UTF8.GetBytes(name))[folderOf]);
        var sees = RankMessages.Exchange(_collective, [File.Exists(Path.Combine(_home.Output, told)) ? (byte)1 : (byte)0]);
        if (writes) File.Delete(path);
        return [.. sees.Select(one => one[0] == 1)];
    }
}
