using System.Text;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Collectives;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// When and by whom the state is written while a generation trains. Replicated, rank 0 writes all of it, and where nodes do not share the
/// folder one of another node does too; sharded, every rank writes its part, which takes a folder that all see.
/// </summary>
internal sealed class GenerationCheckpoints
{
    private readonly RunHome _home;
    private readonly ICollective _collective;
    private readonly bool _writes;
    private readonly int _everySteps;
    private bool _saidLate, _saidProblem;
    private long _begun; // the step whose checkpoint was begun last

    /// <summary>All ranks together: they find out whether they see one folder.</summary>
    public GenerationCheckpoints(RunHome home, ICollective collective)
    {
        (_home, _collective, _everySteps) = (home, collective, CheckpointSpec.Of(home.Spec).EverySteps);
        if (_everySteps == 0) return;
        var sees = SeeOneFolder();
        IsShared = sees.All(one => one);
        _writes = home.State.IsSharded ? IsShared : collective.Rank == 0 || (!IsShared && Array.IndexOf(sees, false) == collective.Rank);
    }

    /// <summary>Whether all nodes see one output folder.</summary>
    public bool IsShared { get; } = true;

    /// <summary>A sentence for the run's log where there is something to know; null where there is not.</summary>
    public string? Note => _everySteps == 0 ? null
        : IsShared ? null
        : _home.State.IsSharded
            ? "the nodes do not share the output folder: the run writes no checkpoints, and starts anew if it loses a rank"
            : "the nodes do not share the output folder: checkpoints are written on two of them";

    /// <summary>After a committed step. Copies what is written; the rest happens in the background.</summary>
    /// <returns>What the run should say, if anything: each trouble once, until it has passed.</returns>
    public string? StepCommitted()
    {
        if (!_writes) return null;
        var (step, writer) = (_home.State.Position.Step, _home.Writer);
        var isLate = step % _everySteps == 0 && !Start();
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
        if (_everySteps == 0 || (_home.State.IsSharded && !IsShared)) return;
        var before = _home.Clock.Enter(Phase.Checkpoint);
        _home.Writer.Wait();
        if (_writes && _begun != _home.State.Position.Step) Start();
        _home.Writer.Wait();
        RankMessages.Largest(_collective, 0); // nobody goes on before the manifest is there
        _home.Clock.Enter(before);
    }

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
        return StateCheckpoint.PartOf(_home, _collective.Generation, rank, world, completes: rank == 0);
    }

    /// <returns>By rank, whether it sees what rank 0 wrote.</returns>
    private bool[] SeeOneFolder()
    {
        if (_collective.WorldSize == 1) return [true];
        var name = _collective.Rank == 0 ? $".seen-{Guid.NewGuid():N}" : "";
        var path = Path.Combine(_home.Output, name);
        if (_collective.Rank == 0) File.WriteAllBytes(path, []);
        var told = Encoding.UTF8.GetString(RankMessages.Exchange(_collective, Encoding.UTF8.GetBytes(name))[0]);
        var sees = RankMessages.Exchange(_collective, [File.Exists(Path.Combine(_home.Output, told)) ? (byte)1 : (byte)0]);
        if (_collective.Rank == 0) File.Delete(path);
        return [.. sees.Select(one => one[0] == 1)];
    }
}
