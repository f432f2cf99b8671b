using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Processing;
using Phi3VCluster.Training.Snapshots;
using TorchSharp;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// What a seat keeps as long as the run keeps the seat: model, data, tokenizer, feature cache, clock and the state. Loaded once, before any
/// generation; a generation borrows it.
/// </summary>
internal sealed class RunHome : IDisposable
{
    private readonly Stack<IDisposable> _owned = new();
    private readonly List<string> _warnings = [];
    private Func<IPeerEndpoint>? _open; // null while nobody needs parts of the state
    private CheckpointEntry? _unopened; // the newest by its name, while nobody has asked for it

    private RunHome(RunSpec spec, RankCompute compute, string output, SeatMetrics metrics)
    {
        (Spec, Compute, Output, Metrics) = (spec, compute, output, metrics);
        Store = new(output);
        Coordinator = new(TimeSpan.FromSeconds(spec.Failure.OrphanSeconds));
        Writer = Own(new CheckpointWriter());
        StepPhases = new(metrics.Clock);
        DeviceName = compute.Device.type == DeviceType.CPU ? "cpu" : $"cuda {Cuda.Name(compute.Device.index)}";
    }

    /// <summary>With everything that was left open decided: as run.yaml says it, and the export carries it.</summary>
    public RunSpec Spec { get; private set; }
    public RankCompute Compute { get; }
    /// <summary>The run's folder of results.</summary>
    public string Output { get; }
    /// <summary>"cpu", or "cuda" with the card's name.</summary>
    public string DeviceName { get; }
    public string Run => Path.GetFileName(Output);
    public SeatMetrics Metrics { get; }
    public PhaseClock Clock => Metrics.Clock;
    public Tokenizer Tokenizer { get; private set; } = null!;
    public SampleEncoder Encoder { get; private set; } = null!;
    public SplitRows Training { get; private set; } = null!;
    /// <summary>Null when the run has no held-out data.</summary>
    public SplitRows? Evaluation { get; private set; }
    public StepPlan Plan { get; private set; } = null!;
    public SampleOrder Order { get; private set; } = null!;
    public TrainedModel Model { get; private set; } = null!;
    /// <summary>Null where nothing is kept of images.</summary>
    public FeatureCache? Features { get; private set; }
    public ModelInputs Inputs { get; private set; } = null!;
    /// <summary>Threads that read and encode.</summary>
    public int Readers { get; private set; }
    public string Fingerprint { get; private set; } = "";
    public TrainingState State { get; private set; } = null!;
    /// <summary>A line each for the run's log, before anything was trained.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];
    public Throughput Throughput { get; } = new();
    public StepPhases StepPhases { get; }
    public FolderStore Store { get; }
    public CoordinatorWatch Coordinator { get; }
    public CheckpointWriter Writer { get; }
    /// <summary>What the seat holds of a sharded state in host memory; null where the state is replicated.</summary>
    public SeatShards? Shards { get; private set; }

    /// <summary>Brings shards to seats with other disks, and takes theirs; null until <see cref="OpenTransfer"/>.</summary>
    public ShardTransfer? Transfer { get; private set; }

    /// <summary>The checkpoint that the run would go on from, while <see cref="State"/> is the start's; null where there is none.</summary>
    public StoredCheckpoint? Unread
    {
        get;
        private set
        {
            field?.Dispose();
            field = value;
        }
    }

    /// <summary>Timestamp of the last moment that this seat trained; at first, that it began to load.</summary>
    public long TrainedAt { get; set; } = Stopwatch.GetTimestamp();

    /// <summary>Timestamp of the begin of a step that is not committed yet.</summary>
    public long? StepBegan { get; set; }

    /// <summary>The generation that was asked to part; only ever grows.</summary>
    public long PartingGeneration { get; set; }

    /// <param name="stop">Ends the loading.</param>
    /// <exception cref="InputException">The checkpoint or the data do not fit the spec.</exception>
    public static RunHome Load(RunSpec spec, RankCompute compute, string output, SeatMetrics metrics, CancellationToken stop)
    {
        var home = new RunHome(spec, compute, output, metrics);
        try
        {
            home.Load(stop);
            return home;
        }
        catch
        {
            home.Dispose();
            throw;
        }
    }

    /// <summary>Ids of a step's samples, whoever trained them.</summary>
    public IReadOnlyList<string> SampleIds(int epoch, int indexInEpoch) =>
        [.. Order.GlobalBatch(epoch, indexInEpoch).Select(Training.IdOf)];

    /// <summary>Before the first step: a run that had come further must not begin anew over what is damaged.</summary>
    /// <exception cref="InputException">There are checkpoints, and none can be read.</exception>
    public void RequireNothingToGoOnFrom()
    {
        if (!Store.Complete().Any(one => one.Step > 0)) return;
        var problems = new List<string>();
        Store.Newest(problems.Add);
        throw new InputException(
            [$"checkpoint: none in {Store.Root} can be read; restore one of them, or submit the run anew.", .. problems]);
    }

    /// <summary>From now on others get what this seat holds of a sharded state.</summary>
    /// <param name="open">Opens an end for them.</param>
    public void OpenShards(Func<IPeerEndpoint> open)
    {
        if (!State.IsSharded) return;
        _open = open;
        Shards = new(open(), Model.Parameters.Count);
    }

    /// <summary>Where nodes turn out to have disks of their own: from now on others bring shards of checkpoints here.</summary>
    /// <returns>Null where the state is replicated, of which one rank writes all.</returns>
    public ShardTransfer? OpenTransfer() => _open is null ? null : Transfer ??= new(
        _open(), Store, ShardMemory.Parts * sizeof(float) * Model.Parameters.Count + MostHeaderBytes, Writer.Refuse);

    /// <summary>
    /// A generation is over. What is whole of a sharded state is held for others; a state that is torn, or only a part, is otherwise worth
    /// less than the last checkpoint, which is read when it is wanted.
    /// </summary>
    public void Park()
    {
        Clock.Enter(Phase.Rendezvous);
        Metrics.Part();
        if (StepBegan is { } began) Metrics.Undo(Stopwatch.GetElapsedTime(began).TotalSeconds);
        StepBegan = null;
        Shards?.Park(State);
        if (State.IsWhole) return;
        if (Shards is { IsEmpty: false }) _unopened = Store.Complete().FirstOrDefault();
        else Unread = Store.Newest(_ => { });
    }

    /// <summary>The checkpoint is wanted that was only known by name.</summary>
    public void OpenCheckpoint()
    {
        if (_unopened is not null) Unread = Store.Newest(_ => { });
        _unopened = null;
    }

    /// <summary>What the seat offers to a generation.</summary>
    /// <param name="generation">The last it was in.</param>
    public Offer Offer(string address, long generation)
    {
        var (courier, held) = (Shards?.Address ?? "", Shards?.Held ?? []);
        if (Unread is { Manifest: var stored }) return Stored(stored.Generation, stored.Step);
        if (_unopened is { } known) return Stored(known.Generation, known.Step);
        return State.IsWhole && State.Position != TrainingPosition.Start
            ? new(address, generation, State.Position.Step, State.Position.Stage, IsLive: true, Fingerprint, courier, held)
            : new(address, generation, 0, TrainingStage.EvaluateBefore, IsLive: false, Fingerprint, courier, held);

        Offer Stored(long from, long step) =>
            new(address, Math.Max(generation, from), step, TrainingStage.Step, IsLive: false, Fingerprint, courier, held);
    }

    /// <summary>The state is what was restored: the checkpoint is of no more use.</summary>
    public void Restored()
    {
        (Unread, _unopened) = (null, null);
        State.Notes = [.. State.Notes, .. Notes.Except(State.Notes)];
        Throughput.Rebuild(State.Records);
    }

    /// <summary>Nothing of what was trained can be reached any more: the state is the start's again.</summary>
    public void StartAnew()
    {
        Model.Reset();
        State.Dispose();
        State = new TrainingState(Spec, Model.Plan, Model.Parameters, Plan)
        {
            Notes = [.. Notes, "no checkpoint holds what was trained: the run starts anew"],
        };
        Unread = null;
    }

    public void Dispose()
    {
        Unread = null;
        Transfer?.Dispose();
        Shards?.Dispose();
        State?.Dispose();
        while (_owned.TryPop(out var part)) part.Dispose();
    }

    private void Load(CancellationToken stop)
    {
        var crops = Spec.Model.NumCrops ?? ProcessorConfig.NumCrops(Spec.Model.Path);
        Spec = Spec with { Model = Spec.Model with { NumCrops = crops } };
        Tokenizer = Tokenizer.Load(Spec.Model.Path);
        var maxTokens = Phi3VConfig.Read(Spec.Model.Path).MaxPositions;
        Encoder = new SampleEncoder(Tokenizer, crops, maxTokens);
        var skips = Spec.Data.OnBadSample == "skip"; // a corrupt image can only be left out when it is known at the start
        var check = SampleCheck.Of(Spec.Model.Path, Tokenizer, crops, maxTokens, decodes: skips) with
        {
            Progress = Activity.Reporter("rows"),
        };
        Training = Own(DataSplit.OpenTraining(Spec.Data, stop, check, Spec.Seed));
        Evaluation = DataSplit.OpenEvaluation(Spec.Data, stop, check, Spec.Seed) is { } held ? Own(held) : null;
        if (Evaluation is null && Spec.Evaluation.EverySteps is { } steps)
            throw new InputException($"evaluation.everySteps: no samples are held out, got {steps}; "
                + "name some in data.eval or data.evalRows, or leave it out.");
        Plan = StepPlan.Of(Spec, Training.Count);
        if (Plan.Problem(Spec) is { } never) throw new InputException(never);
        DataNotes.RequireARate(Spec, Plan);
        if (TrainedExport.NeedOf(Spec, Compute.Type, Plan.Total).Problem(Output) is { } full) throw new InputException(full);
        Fingerprint = Engine.Fingerprint.Of(Spec.Model.Path, Spec.Precision, Training);
        Unread = Store.Newest(_warnings.Add); // before the model: what does not fit shows within seconds
        if (Unread is { } stored) ResumeCheck.Require(stored.Manifest, Spec, Fingerprint, stored.Folder);

        Model = Own(TrainedModel.Load(Spec, Compute, stop));
        Order = new SampleOrder(Training.Count, Spec.Batch.Global, Spec.Seed, Spec.Data.Shuffle);
        Readers = Spec.Data.Workers ?? Math.Clamp(torch.get_num_threads() - 1, 1, MostReaders);
        Features = Model.Model.VisionIsTrained ? null : FeatureCache.Open(Output, Spec.Data.CacheFeatures);
        if (Features is not null) Own(Features);
        Inputs = new ModelInputs(Model.Model, Compute, Features, Spec.Method.Dropout > 0 ? Spec.Seed : null);
        Notes = [.. StartNotes()];
        State = new TrainingState(Spec, Model.Plan, Model.Parameters, Plan) { Notes = Notes };
        Clock.Enter(Phase.Rendezvous);
    }

    /// <summary>Of a shard's file: a line for each of its ranges.</summary>
    private const int MostHeaderBytes = 1 << 24;
    /// <summary>Letter pages for a rank of an eight-GPU node at several times its speed.</summary>
    private const int MostReaders = 4;

    private IEnumerable<string> StartNotes() =>
    [
        .. DataNotes.Lines(Spec, Training, Evaluation, Model.Model.VisionIsTrained), .. Model.Notes, .. Model.Precision.Lines(),
        Plan.Words(Spec), .. Plan.Warnings(Spec).Concat(_warnings).Select(one => $"warning: {one}"),
    ];

    private T Own<T>(T part) where T : IDisposable
    {
        _owned.Push(part);
        return part;
    }
}
