namespace Phi3VCluster.Spec;

/// <summary>
/// One fine-tuning run, whole: what is trained, on what, how, and with how many ranks. Immutable; read from YAML by
/// <see cref="RunSpecYaml"/>, checked by <see cref="RunSpecValidation"/>, saved beside the run's results as <c>run.yaml</c>.
/// Property names in camelCase are the YAML keys.
/// </summary>
public sealed record RunSpec
{
    /// <summary>Short name of the run; the run's id starts with it. Letters, digits, '-', '_' and '.'.</summary>
    public string Name { get; init; } = "run";
    public ModelSpec Model { get; init; } = new();
    public MethodSpec Method { get; init; } = new();
    /// <summary>
    /// Type the model computes in: fp32 | bf16 | fp16; auto, what suits the device. Trained values always have float32 masters.
    /// </summary>
    public string Precision { get; init; } = "fp32";
    /// <summary>
    /// Products of the decoder's layers, forward and for their inputs' gradients, of 8-bit numbers (e4m3, a scale for each row); with bf16.
    /// </summary>
    public bool Fp8 { get; init; }
    /// <summary>Attention kernel: auto takes the fastest that works; flash | eager.</summary>
    public string Attention { get; init; } = "auto";
    /// <summary>What backward computes again instead of keeping it: none | selective (the MLP halves of layers) | full (whole layers);
    /// auto, the least that each rank's memory allows.</summary>
    public string ActivationCheckpointing { get; init; } = "none";
    public DataSpec Data { get; init; } = new();
    public BatchSpec Batch { get; init; } = new();
    /// <summary>Passes over the training samples.</summary>
    public int Epochs { get; init; } = 1;
    /// <summary>Ends the run after so many steps, even within an epoch; null, only when the epochs are over.</summary>
    public int? MaxSteps { get; init; }
    public OptimizerSpec Optimizer { get; init; } = new();
    public EvaluationSpec Evaluation { get; init; } = new();
    public ClusterSpec Cluster { get; init; } = new();
    /// <summary>Null: as <see cref="CheckpointSpec"/> is by itself.</summary>
    public CheckpointSpec? Checkpoint { get; init; }
    public FailureSpec Failure { get; init; } = new();
    public int Seed { get; init; } = 42;
    /// <summary>Folder that receives a folder of its own for each run.</summary>
    public string Output { get; init; } = "./output";
}

/// <summary>The model that is trained.</summary>
public sealed record ModelSpec
{
    /// <summary>Checkpoint folder in Hugging Face layout.</summary>
    public string Path { get; init; } = "";
    /// <summary>
    /// Most 336-pixel crops an image is cut into; more crops, more detail, more tokens. Null is "auto": what the checkpoint says.
    /// </summary>
    public int? NumCrops { get; init; }
}

/// <summary>What of the model is trained, and how.</summary>
public sealed record MethodSpec
{
    /// <summary>Which parameters are trained: a method's name.</summary>
    public string Kind { get; init; } = "full";
    /// <summary>Adapters: inner dimension.</summary>
    public int Rank { get; init; } = 32;
    /// <summary>Adapters: scaled by alpha / rank. Not given: 2 · rank.</summary>
    public double? Alpha { get; init; }
    /// <summary>Adapters: share of their input that is dropped in training, from 0 to below 1.</summary>
    public double Dropout { get; init; }
    /// <summary>Adapters: true gives the CLIP tower and the projector none.</summary>
    public bool FreezeVision { get; init; }
    /// <summary>Adapters: weight-decomposed, with a trained magnitude for each output.</summary>
    public bool Dora { get; init; }
    /// <summary>Adapters: a PEFT adapter folder to start from instead of fresh ones.</summary>
    public string? Adapter { get; init; }
    /// <summary>Adapters: ends of the names of the linear layers that get one, for example qkv_proj. Not given: the recipe's.</summary>
    public IReadOnlyList<string>? Targets { get; init; }
    /// <summary>QLoRA: quantise the 4-bit blocks' scales too.</summary>
    public bool DoubleQuantization { get; init; }
}

/// <summary>What is trained and evaluated on.</summary>
public sealed record DataSpec
{
    /// <summary>Format of the files: a dataset's name.</summary>
    public string Kind { get; init; } = "conversations";
    /// <summary>File or glob of the training samples.</summary>
    public string Train { get; init; } = "";
    /// <summary>File or glob of the held-out samples; none, rows of data.train where some are held out, else no evaluation.</summary>
    public string? Eval { get; init; }
    /// <summary>Format of the data.eval files where it is another; null, as data.kind.</summary>
    public string? EvalKind { get; init; }
    /// <summary>Rows of data.train that evaluate and are not trained, unless data.eval is other files; null, the kind's.</summary>
    public int? EvalRows { get; init; }
    /// <summary>Which rows those are: first, of all files together | random, drawn from the seed.</summary>
    public string EvalSplit { get; init; } = "first";
    /// <summary>A new order each epoch, drawn from the seed.</summary>
    public bool Shuffle { get; init; } = true;
    /// <summary>Own data: each epoch, draw the order of the independent turns of a sample anew.</summary>
    public bool ShuffleTurns { get; init; }
    /// <summary>Folder that relative image paths start from; none, the data file's own.</summary>
    public string? ImageRoot { get; init; }
    /// <summary>Where features of a frozen vision model are kept between epochs: auto | memory | disk | none.</summary>
    public string CacheFeatures { get; init; } = "auto";
    /// <summary>Threads of each rank that read and decode ahead; null is "auto": its share of the cores less one, from 1 to 4.</summary>
    public int? Workers { get; init; }
    /// <summary>Turn image files of own data as their EXIF orientation says; images of parquet rows always are.</summary>
    public bool ExifRotate { get; init; }
    /// <summary>fail: one bad row ends the run before it starts. skip: up to 1 % of them are left out.</summary>
    public string OnBadSample { get; init; } = "fail";
}

/// <summary>How many samples a step has, and how ranks share it.</summary>
public sealed record BatchSpec
{
    /// <summary>What <see cref="MicroTokens"/> comes to on a CPU: enough rows for full-speed matrix products, and more would only need more
    /// memory.</summary>
    public const int CpuTokens = 1024;

    /// <summary>Samples of one optimizer step, over all ranks.</summary>
    public int Global { get; init; } = 64;
    /// <summary>Most samples of one forward pass on one rank, packed without padding; null is "auto": as many as fill the device.</summary>
    public int? Micro { get; init; }
    /// <summary>
    /// Tokens that a pass is filled up to where <see cref="Micro"/> is auto; a longer sample is a pass by itself. Null is "auto".
    /// </summary>
    public int? MicroTokens { get; init; }
    /// <summary>
    /// step: gradients are kept whole and summed over ranks once a step. micro: after every forward pass, each rank keeping its shard.
    /// </summary>
    public string ReduceEvery { get; init; } = "step";
    /// <summary>Type in which gradients travel between ranks: fp32 | bf16 | fp16. They are added in float32 whatever it is.</summary>
    public string GradientType { get; init; } = "fp32";
}

/// <summary>AdamW, its learning rate over the steps, and what guards it.</summary>
public sealed record OptimizerSpec
{
    public double LearningRate { get; init; } = 1e-4;
    public LearningRatesSpec LearningRates { get; init; } = new();
    /// <summary>Course of the learning rate after the warm-up: a schedule's name.</summary>
    public string Schedule { get; init; } = "linear";
    /// <summary>Steps in which the rate grows to its peak; null is "auto": 3 % of the run's, 50 at most.</summary>
    public int? WarmupSteps { get; init; }
    public double WeightDecay { get; init; } = 0.01;
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.95];
    public double Epsilon { get; init; } = 1e-7;
    /// <summary>Gradients are scaled down to this global norm; 0 never clips.</summary>
    public double MaxGradNorm { get; init; } = 1.0;
    /// <summary>sample: mean over a sample's answer tokens, then over samples. token: over all answer tokens of the batch.</summary>
    public string Loss { get; init; } = "sample";
    /// <summary>What a loss or gradient that is not finite does: stop the run, or skip the step.</summary>
    public string OnNonFinite { get; init; } = "stop";
    /// <summary>Steps that may be skipped in a run before it stops all the same.</summary>
    public int MaxSkippedSteps { get; init; } = 10;

    /// <summary>Steps of warm-up of a run of <paramref name="totalSteps"/>.</summary>
    public int WarmupOf(long totalSteps) => WarmupSteps ?? (int)Math.Min(50, totalSteps * 3 / 100);
}

/// <summary>Learning rates of parts of the model; a part without one runs at <see cref="OptimizerSpec.LearningRate"/>.</summary>
public sealed record LearningRatesSpec
{
    /// <summary>The CLIP tower.</summary>
    public double? VisionTower { get; init; }
    /// <summary>The projector and the line separators.</summary>
    public double? Projector { get; init; }
    /// <summary>Token embedding, decoder, final norm and head.</summary>
    public double? LanguageModel { get; init; }
}

/// <summary>What is measured on held-out samples, and when.</summary>
public sealed record EvaluationSpec
{
    /// <summary>The metric that needs no generated answers: the mean loss of the held-out samples.</summary>
    public const string Loss = "loss";

    /// <summary>What is measured on held-out samples, beside their loss: a metric's name; or <see cref="Loss"/> alone.</summary>
    public string Metric { get; init; } = "anls";
    /// <summary>Longest answer that is generated, in tokens.</summary>
    public int MaxNewTokens { get; init; } = 64;
    /// <summary>Evaluate the untrained model too.</summary>
    public bool Before { get; init; } = true;
    /// <summary>Evaluate after every so many steps too; null, only when training has ended.</summary>
    public int? EverySteps { get; init; }
}

/// <summary>How many ranks a run takes, and what they compute and talk with.</summary>
public sealed record ClusterSpec
{
    /// <summary>Ranks without which the run does not start.</summary>
    public int MinRanks { get; init; } = 1;
    /// <summary>Ranks beyond which it takes no more.</summary>
    public int MaxRanks { get; init; } = 1;
    /// <summary>Of runs that wait, the one of the highest is next; runs of lower ones give it what they have above their least.</summary>
    public int Priority { get; init; }
    /// <summary>auto | cpu | cuda.</summary>
    public string Device { get; init; } = "auto";
    /// <summary>How gradients travel between ranks: a collective's name; auto: loopback for one rank, the fastest for more.</summary>
    public string Collective { get; init; } = "auto";
    /// <summary>
    /// replicated: every rank keeps the whole optimizer state, and losing one loses nothing. sharded: each keeps a part (ZeRO-2), and
    /// losing one goes back to the last snapshot, which is in two nodes' memory. auto: replicated up to 1 GiB.
    /// </summary>
    public string State { get; init; } = "auto";
}

/// <summary>When a run's state is written out while it trains, in the background.</summary>
public sealed record CheckpointSpec
{
    private static readonly CheckpointSpec Usual = new();

    /// <summary>0: never.</summary>
    public int EverySteps { get; init; } = 100;
    /// <summary>How many of the newest checkpoints stay.</summary>
    public int Keep { get; init; } = 2;

    /// <summary>What a run does.</summary>
    public static CheckpointSpec Of(RunSpec spec) => spec.Checkpoint ?? Usual;
}

/// <summary>How long a run waits for what it lost, in seconds.</summary>
public sealed record FailureSpec
{
    /// <summary>A generation that has heard nothing of its coordinator for so long parks after its next step.</summary>
    public int OrphanSeconds { get; init; } = 60;
    /// <summary>A run that has had too few ranks for so long leaves them to a run that waits, and waits itself.</summary>
    public int ShortSeconds { get; init; } = 60;
    /// <summary>A run whose disk takes nothing keeps what it trained in memory for so long, and tries again; then it fails.</summary>
    public int DiskSeconds { get; init; } = 3600;
}
