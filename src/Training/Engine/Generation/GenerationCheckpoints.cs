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
    /// <summary>What a rank tells of itself, and whose copy its part is missing from.</summary>
    private const int Busy = 1, FirstKeeper = 2, SecondKeeper = 4;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    private readonly RunHome _home;
    private readonly ICollective _collective;
    private readonly bool _writes, _completes;
    private readonly bool _isKeptHere = true;
    private readonly IReadOnlyList<(int Keeper, string Address)> _elsewhere = []; // who completes it on disks that this rank does not see
    private readonly int _everySteps;
    private volatile int _notBrought; // bits of keepers
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
        if (IsShared || home.OpenTransfer() is not { } transfer) return;
        (int Rank, int Bit, bool IsSeen)[] keepers =
            [(0, FirstKeeper, sees[collective.Rank]), (second, SecondKeeper, Seeing(second)[collective.Rank])];
        var addresses = RankMessages.Exchange(collective, Encoding.UTF8.GetBytes(transfer.Address));
        _isKeptHere = keepers.Any(keeper => keeper.IsSeen);
        _elsewhere = [.. keepers.Where(one => !one.IsSeen).Select(one => (one.Bit, Encoding.UTF8.GetString(addresses[one.Rank])))];
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
        WaitForAll();
        if (_writes && _begun != _home.State.Position.Step) Start();
        WaitForAll(); // nobody goes on before the manifest is there
        _home.Clock.Enter(before);
    }

    private void WaitForAll()
    {
        while (IsAnyBusy()) Thread.Sleep(Look);
    }

    /// <summary>
    /// Asked by all ranks of a sharded state together. A shard that one rank leaves out would keep the others waiting for it, and so would
    /// one that a rank cannot write: they are told here.
    /// </summary>
    private bool IsAnyBusy()
    {
        var writer = _home.Writer;
        var isBusy = writer.IsBusy;
        if (!_home.State.IsSharded) return isBusy; // one rank's file needs no other's
        var owed = isBusy || _begun == 0 || writer.HasWritten ? _notBrought : FirstKeeper | SecondKeeper;
        var told = RankMessages.Numbers(_collective, (isBusy ? Busy : 0) | owed);
        if (told.Any(bits => (bits & (FirstKeeper | SecondKeeper)) != 0)) Refuse(told, writer.Problem ?? "");
        return told.Any(bits => (bits & Busy) != 0);
    }

    /// <summary>A keeper that a rank owes its part does not wait for it.</summary>
    /// <param name="told">By rank.</param>
    /// <param name="problem">This rank's own, if it has one.</param>
    private void Refuse(int[] told, string problem)
    {
        var problems = RankMessages.Exchange(_collective, Encoding.UTF8.GetBytes(problem));
        var awaited = _collective.Rank == 0 ? FirstKeeper : SecondKeeper;
        var lacking = Array.FindIndex(told, bits => (bits & awaited) != 0);
        if (!_completes || lacking < 0) return;
        _home.Writer.Refuse(_home.Store.FolderOf(_begun, _collective.Generation),
            $"rank {lacking} could not write or bring its part: {Encoding.UTF8.GetString(problems[lacking])}");
    }

    private bool Start()
    {
        var before = _home.Clock.Enter(Phase.Snapshot);
        _notBrought = 0;
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
        foreach (var (keeper, address) in _elsewhere)
        {
            try
            {
                _home.Transfer!.Send(address, part, file, stop);
            }
            catch (IOException error)
            {
                _notBrought |= keeper;
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
