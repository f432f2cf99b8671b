namespace Phi3VCluster.Spec.Tests;

public sealed class GoodSpecTests
{
    private const string MethodKeys = "kind: lora, rank: 8, alpha: 16, dropout: 0.1, freezeVision: true, dora: true, adapter: /a, "
        + "targets: [qkv_proj, o_proj], doubleQuantization: true";

    private const string TrainFiles = "/data/train-*.parquet";

    /// <summary>Every key there is, none with its default.</summary>
    private const string Whole =
        $$"""
        name: docvqa-lora
        model:     { path: /models/phi-3, numCrops: 4 }
        method:    { {{MethodKeys}} }
        precision: bf16
        attention: eager
        activationCheckpointing: selective
        data:      { kind: docvqa, train: "{{TrainFiles}}", eval: /data/test.parquet, evalRows: 9, shuffle: false, shuffleTurns: true,
                     imageRoot: /i, exifRotate: true, onBadSample: skip, cacheFeatures: disk }
        batch:     { global: 32, micro: 4, reduceEvery: micro }
        epochs: 2
        maxSteps: 11
        optimizer:
          learningRate: 2.0e-4
          learningRates: { visionTower: 1.0e-5, projector: 2.0e-5, languageModel: 3.0e-5 }
          schedule: cosine
          warmupSteps: 5
          weightDecay: 0.1
          betas: [0.8, 0.99]
          epsilon: 1.0e-7
          maxGradNorm: 0
          loss: token
          onNonFinite: skip
          maxSkippedSteps: 3
        evaluation: { metric: accuracy, maxNewTokens: 3, before: false }
        cluster:   { minRanks: 2, maxRanks: 8, device: cpu, collective: tcp }
        checkpoint: { everySteps: 10, keep: 3 }
        failure: { orphanSeconds: 20, shortSeconds: 0, diskSeconds: 5 }
        seed: 7
        output: ./results
        """;

    private const string Small = "model: { path: /m }\ndata: { train: /d.jsonl }\n";

    [Fact]
    public void Every_key_is_read()
    {
        var spec = RunSpecYaml.Parse(Whole, []);

        Assert.Equal(("docvqa-lora", 4, "lora", 8, 16d, true),
            (spec.Name, spec.Model.NumCrops, spec.Method.Kind, spec.Method.Rank, spec.Method.Alpha, spec.Method.FreezeVision));
        Assert.Equal(("/data/train-*.parquet", "/data/test.parquet", false, true),
            (spec.Data.Train, spec.Data.Eval, spec.Data.Shuffle, spec.Data.ShuffleTurns));
        Assert.Equal((9, "/i", true, "skip"), (spec.Data.EvalRows, spec.Data.ImageRoot, spec.Data.ExifRotate, spec.Data.OnBadSample));
        Assert.Equal((0.1, true, true), (spec.Method.Dropout, spec.Method.Dora, spec.Method.DoubleQuantization));
        Assert.Equal(["qkv_proj", "o_proj"], spec.Method.Targets!);
        Assert.Equal(("bf16", "eager", "selective", "disk"),
            (spec.Precision, spec.Attention, spec.ActivationCheckpointing, spec.Data.CacheFeatures));
        Assert.Equal((32, 4, "micro", 2), (spec.Batch.Global, spec.Batch.Micro, spec.Batch.ReduceEvery, spec.Epochs));
        Assert.Equal(new LearningRatesSpec { VisionTower = 1e-5, Projector = 2e-5, LanguageModel = 3e-5 }, spec.Optimizer.LearningRates);
        Assert.Equal(("skip", 3), (spec.Optimizer.OnNonFinite, spec.Optimizer.MaxSkippedSteps));
        Assert.Equal((2.0e-4, "cosine", 5, 0.1, 1e-7, 0d, "token"),
            (spec.Optimizer.LearningRate, spec.Optimizer.Schedule, spec.Optimizer.WarmupSteps, spec.Optimizer.WeightDecay,
                spec.Optimizer.Epsilon, spec.Optimizer.MaxGradNorm, spec.Optimizer.Loss));
        Assert.Equal([0.8, 0.99], spec.Optimizer.Betas);
        Assert.Equal(new EvaluationSpec { Metric = "accuracy", MaxNewTokens = 3, Before = false }, spec.Evaluation);
        Assert.Equal(new ClusterSpec { MinRanks = 2, MaxRanks = 8, Device = "cpu", Collective = "tcp" }, spec.Cluster);
        Assert.Equal(new CheckpointSpec { EverySteps = 10, Keep = 3 }, spec.Checkpoint);
        Assert.Equal(new FailureSpec { OrphanSeconds = 20, ShortSeconds = 0, DiskSeconds = 5 }, spec.Failure);
        Assert.Equal((11, 7, "./results"), (spec.MaxSteps, spec.Seed, spec.Output));
    }

    [Fact]
    public void The_design_s_nulls_and_auto_are_read_as_not_given()
    {
        var spec = RunSpecYaml.Parse(Small + "batch: { micro: auto }\nmethod: { alpha: null, adapter: ~ }\ncheckpoint:\n", []);

        Assert.Equal((null, null, null, null), (spec.Batch.Micro, spec.Method.Alpha, spec.Method.Adapter, spec.Checkpoint));
    }

    [Fact]
    public void JSON_is_YAML() =>
        Assert.Equal(3, RunSpecYaml.Parse("""{"model": {"path": "/m"}, "data": {"train": "/d"}, "epochs": 3}""", []).Epochs);

    [Theory]
    [InlineData(Whole)]
    [InlineData(Small)]
    [InlineData(Small + "name: 'true'\noutput: 'a: b # c'")]
    public void A_spec_survives_YAML_and_JSON_unchanged(string yaml)
    {
        var spec = RunSpecYaml.Parse(yaml, []);

        var json = RunSpecJson.ToText(spec);

        Assert.Equal(json, RunSpecJson.ToText(RunSpecYaml.Parse(RunSpecYaml.ToText(spec), [])));
        Assert.Equal(json, RunSpecJson.ToText(RunSpecJson.FromText(json)));
        Assert.Equal(json, RunSpecJson.ToText(RunSpecYaml.Parse(json, [])));
    }

    [Fact]
    public void The_JSON_is_one_line_with_the_YAML_s_keys()
    {
        var json = RunSpecJson.ToText(new RunSpec());

        Assert.DoesNotContain('\n', json);
        Assert.Contains("\"learningRate\":0.0001", json);
        Assert.Contains("\"checkpoint\":null", json);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("""{"epoch": 1}""")]
    [InlineData("""{"epochs": "1"}""")]
    [InlineData("""{"epochs": 1, "epochs": 2}""")]
    [InlineData("""{"name": null}""")]
    public void JSON_that_is_no_run_spec_is_refused(string json) => Assert.Throws<InputException>(() => RunSpecJson.FromText(json));

    [Fact]
    public void JSON_without_a_key_keeps_its_default() =>
        Assert.Equal(new RunSpec().Output, RunSpecJson.FromText("""{"epochs": 3}""").Output);

    [Fact]
    public void A_set_value_replaces_the_written_one_and_only_it()
    {
        var spec = RunSpecYaml.Parse(Whole,
            ["optimizer.learningRate=1e-4", "data.eval=null", "optimizer.betas=[0.5, 0.6]",
                "data.train=*.jsonl", "name=x", "batch.micro=auto"]);

        Assert.Equal((1e-4, 5, null, "*.jsonl", "x", null),
            (spec.Optimizer.LearningRate, spec.Optimizer.WarmupSteps, spec.Data.Eval, spec.Data.Train, spec.Name, spec.Batch.Micro));
        Assert.Equal([0.5, 0.6], spec.Optimizer.Betas);
    }

    [Fact]
    public void A_set_value_may_stand_where_the_file_has_no_section() =>
        Assert.Equal(4, RunSpecYaml.Parse(Small, ["cluster.maxRanks=4"]).Cluster.MaxRanks);

    [Theory]
    [InlineData("optimizer.learninRate=1", "optimizer.learninRate: unknown key; did you mean optimizer.learningRate?")]
    [InlineData("seed", "--set: must be path=value, got seed; write for example --set optimizer.learningRate=1e-4.")]
    [InlineData("seed.x=1", "seed.x: seed has no keys; write --set seed=…")]
    [InlineData("epochs=many", "epochs: must be a whole number, got many; write a number up to 2147483647.")]
    public void A_set_that_fits_nowhere_says_so(string set, string problem) =>
        Assert.Equal([problem], RunSpecYaml.Read(Small + "seed: 3", [set]).Problems);

    [Fact]
    public void Every_recipe_is_a_good_spec()
    {
        var root = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "Phi3VCluster.sln"))) root = root.Parent!;

        var recipes = Directory.GetFiles(Path.Combine(root.FullName, "recipes"), "*.yaml");

        Assert.NotEmpty(recipes);
        Assert.All(recipes, recipe => Assert.Empty(RunSpecYaml.ReadFile(recipe, []).Problems));
    }

    [Fact]
    public void A_checkpoint_section_is_kept_and_means_what_it_says()
    {
        var spec = RunSpecYaml.Parse(Whole, ["data.evalRows=null"]);
        Assert.Empty(RunSpecValidation.Warnings(spec));
        Assert.Equal((10, 3), (CheckpointSpec.Of(spec).EverySteps, CheckpointSpec.Of(spec).Keep));
        Assert.Equal((100, 2), (CheckpointSpec.Of(new()).EverySteps, CheckpointSpec.Of(new()).Keep));
    }
}
