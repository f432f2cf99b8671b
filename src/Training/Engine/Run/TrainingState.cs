using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Planning;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using Phi3VCluster.Training.Snapshots;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// All that decides a run's future, between two steps: trained values with their moments, loss scale, position, and the history that the
/// report is made of. It lives as long as the seat; a generation works on it and leaves it behind.
/// </summary>
internal sealed class TrainingState : IDisposable
{
    private static readonly JsonSerializerOptions Form = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly RunSpec _spec;
    private readonly StepPlan _plan;
    private readonly List<StepRecord> _records = [];

    /// <param name="parameters">Hold their start; must outlive the state.</param>
    public TrainingState(RunSpec spec, TrainingPlan trained, FlatParameters parameters, StepPlan plan)
    {
        (_spec, _plan, Parameters) = (spec, plan, parameters);
        IsSharded = OptimizerSharding.IsSharded(spec, parameters.Count);
        Optimizer = new(parameters, IsSharded ? ShardLayout.None : ShardLayout.Replicated(parameters.Count));
        Scaler = spec.Precision == "fp16" ? LossScaler.Dynamic() : LossScaler.None();
        Groups = TrainedGroup.Of(trained);
    }

    public FlatParameters Parameters { get; }

    /// <summary>Of all of the buffer, or of this rank's shard in the current generation.</summary>
    public OptimizerState Optimizer { get; private set; }

    /// <summary>Whether ranks keep the optimizer's state in parts (ZeRO-2); otherwise each has all of it.</summary>
    public bool IsSharded { get; }

    public LossScaler Scaler { get; }

    /// <summary>What was seen to be trained.</summary>
    public IReadOnlyList<TrainedGroup> Groups { get; }

    /// <summary>Steps that were skipped for losses or gradients that were not finite.</summary>
    public int Skipped { get; set; }

    public TrainingPosition Position { get; private set; } = TrainingPosition.Start;

    public IReadOnlyList<EvaluationPoint> Evaluations { get; private set; } = [];

    /// <summary>A line each for the run's log.</summary>
    public IReadOnlyList<string> Notes { get; set; } = [];

    /// <summary>The generations so far, the current one included.</summary>
    public IReadOnlyList<GenerationRecord> Generations { get; private set; } = [];

    /// <summary>Of every committed step.</summary>
    public IReadOnlyList<StepRecord> Records => _records;

    /// <summary>Between the first write of an update and its commit: good for nothing but to be replaced.</summary>
    public bool IsTorn { get; private set; }

    /// <summary>Whether all of the state is here, so that others can have it.</summary>
    public bool IsWhole => !IsTorn && Optimizer.Layout.OwnCount == Parameters.Count;

    /// <summary>A copy of the tensors that another thread makes, before which they are not written; null where there is none.</summary>
    public Task? Copying { get; set; }

    /// <summary>Waits for such a copy.</summary>
    public void Settle()
    {
        var copying = Copying;
        Copying = null;
        copying?.GetAwaiter().GetResult();
    }

    /// <summary>An update begins.</summary>
    public void Tear()
    {
        Settle();
        IsTorn = true;
    }

    /// <summary>Every tensor is whole again, at the position there is.</summary>
    public void Mend() => IsTorn = false;

    /// <summary>A step is committed; what comes next is another, or an evaluation, or the export.</summary>
    public void Advance(StepRecord record)
    {
        _records.Add(record);
        var evaluates = record.Step % _spec.Evaluation.EverySteps == 0;
        var next = record.Step >= _plan.Total ? TrainingStage.Export : evaluates ? TrainingStage.Evaluate : TrainingStage.Step;
        (Position, IsTorn) = (new(record.Step, next), false);
    }

    /// <summary>A stage that is no step is done.</summary>
    public void MoveTo(TrainingStage next) => Position = Position with { Stage = next };

    public void Add(EvaluationPoint evaluation) => Evaluations = [.. Evaluations, evaluation];

    public void Begin(GenerationRecord generation) =>
        Generations = [.. Generations.Where(g => g.Generation < generation.Generation), generation];

    /// <summary>Has this rank own another part, with the moments of the start; its masters are the values.</summary>
    public void Own(ShardLayout layout)
    {
        if (Optimizer.Layout.Pieces.SequenceEqual(layout.Pieces)) return;
        Settle();
        Optimizer.Dispose(); // first: there may be no room for both
        Optimizer = new(Parameters, layout);
    }

    /// <summary>All ranks together: each has its own part of the values, and gets the others'.</summary>
    public void GatherValues(ICollective collective)
    {
        foreach (var bucket in Optimizer.Layout.Buckets)
        {
            using var part = Parameters.Values.narrow(0, bucket.Offset, bucket.Count);
            collective.AllGather(part);
        }
    }

    /// <summary>All but the tensors, for whoever keeps a copy of them.</summary>
    public StateMetadata Metadata() => new((int)Position.Stage, Scalars(), History());

    /// <summary>Everything but the tensors and the step records, as JSON.</summary>
    public string Scalars() => Scalars(Generations);

    /// <summary>The step records as of now, for any thread to write later: a line of JSON each, without what the data tell again.</summary>
    public Func<string> History()
    {
        StepRecord[] records = [.. _records];
        return () => string.Concat(records.Select(record => JsonSerializer.Serialize(record with { SampleIds = [] }, Form) + "\n"));
    }

    /// <summary>Tells two states apart that claim the same position.</summary>
    public string Hash() => // each seat dates generations itself
        Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(Scalars([]))))[..16];

    /// <summary>Takes over all of another state but the tensors, which are restored before.</summary>
    /// <param name="sampleIds">(epoch, place in the epoch) → ids of that step's global batch.</param>
    public void Adopt(string scalars, string history, Func<int, int, IReadOnlyList<string>> sampleIds)
    {
        var other = JsonSerializer.Deserialize<StateScalars>(scalars, Form)!;
        other.StepCounts.ToArray().CopyTo(Optimizer.StepCounts, 0);
        (Scaler.State, Skipped, Notes, Evaluations, Generations) =
            (other.LossScale, other.Skipped, other.Notes, other.Evaluations, other.Generations);
        foreach (var (group, known) in Groups.Zip(other.Groups))
            (group.GradientNorm, group.WeightChange, group.Step) = (known.GradientNorm, known.WeightChange, known.Step);
        _records.Clear();
        foreach (var line in history.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var record = JsonSerializer.Deserialize<StepRecord>(line, Form)!;
            _records.Add(record with { SampleIds = sampleIds(record.Epoch, (int)((record.Step - 1) % _plan.PerEpoch)) });
        }
        (Position, IsTorn) = (new(other.Step, other.Stage), false);
    }

    public void Dispose()
    {
        Settle();
        Optimizer.Dispose();
    }

    private string Scalars(IReadOnlyList<GenerationRecord> generations) => JsonSerializer.Serialize(new StateScalars(
        Position.Step, Position.Stage, [.. Optimizer.StepCounts], Scaler.State, Skipped, Groups, Evaluations, Notes, generations), Form);

    private sealed record StateScalars(long Step, TrainingStage Stage, IReadOnlyList<long> StepCounts, LossScale LossScale, int Skipped,
        IReadOnlyList<TrainedGroup> Groups, IReadOnlyList<EvaluationPoint> Evaluations, IReadOnlyList<string> Notes,
        IReadOnlyList<GenerationRecord> Generations);
}

/// <summary>A generation, as the report lists it.</summary>
/// <param name="Cause">Why it was formed.</param>
/// <param name="FirstStep">Its first, whether it was committed or not.</param>
/// <param name="At">When it began, UTC.</param>
/// <param name="Seconds">Since this seat had last trained, or had begun to load: what the change cost.</param>
/// <param name="StepsLost">That one of its ranks had committed, and that all do anew.</param>
/// <param name="Nodes">That its ranks were on.</param>
internal sealed record GenerationRecord(
    long Generation, int WorldSize, string Cause, long FirstStep, DateTime At, double Seconds, int StepsLost = 0, int Nodes = 1);
