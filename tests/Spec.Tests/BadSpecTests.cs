namespace Phi3VCluster.Spec.Tests;

public sealed class BadSpecTests
{
    private const string Good = "model: { path: /m }\ndata: { train: /d.jsonl }\n";

    [Theory]
    [InlineData("optimizer: { lerningRate: 1 }", "optimizer.lerningRate: unknown key (line 3); did you mean optimizer.learningRate?")]
    [InlineData("learningRate: 1", "learningRate: unknown key (line 3); did you mean optimizer.learningRate?")]
    [InlineData("epoch: 2", "epoch: unknown key (line 3); did you mean epochs?")]
    [InlineData("batch: { zzzzzz: 1 }",
        "batch.zzzzzz: unknown key (line 3); use one of global, micro, microTokens, reduceEvery, gradientType.")]
    [InlineData("epochs: two", "epochs: must be a whole number (line 3), got two; write a number up to 2147483647.")]
    [InlineData("epochs: 1.5", "epochs: must be a whole number (line 3), got 1.5; write a number up to 2147483647.")]
    [InlineData("epochs: 99999999999", "epochs: must be a whole number (line 3), got 99999999999; write a number up to 2147483647.")]
    [InlineData("epochs: \"2\"", "epochs: must be a whole number (line 3), got the text \"2\"; remove the quotes.")]
    [InlineData("epochs: [2]", "epochs: must be a whole number (line 3), got a list; write a number up to 2147483647.")]
    [InlineData("epochs:", "epochs: must be a whole number (line 3), got nothing; write a number up to 2147483647.")]
    [InlineData("optimizer: { learningRate: .nan }",
        "optimizer.learningRate: must be a number (line 3), got .nan; write it as 0.0002 or 2.0e-4.")]
    [InlineData("optimizer: { learningRate: NaN }",
        "optimizer.learningRate: must be a number (line 3), got NaN; write it as 0.0002 or 2.0e-4.")]
    [InlineData("optimizer: { learningRate: 1e999 }",
        "optimizer.learningRate: must be a number (line 3), got 1e999; write it as 0.0002 or 2.0e-4.")]
    [InlineData("method: { freezeVision: maybe }", "method.freezeVision: must be true or false (line 3), got maybe; write true or false.")]
    [InlineData("optimizer: 3", "optimizer: must hold keys (line 3), got 3; use learningRate, learningRates, schedule, warmupSteps, "
        + "weightDecay, betas, epsilon, maxGradNorm, loss, onNonFinite, maxSkippedSteps.")]
    [InlineData("optimizer: { betas: 0.9 }", "optimizer.betas: must be a list of numbers (line 3), got 0.9; write it as [0.9, 0.95].")]
    [InlineData("optimizer: { betas: [0.9, x] }", "optimizer.betas[1]: must be a number (line 3), got x; write it as 0.0002 or 2.0e-4.")]
    [InlineData("seed: 1\nseed: 2", "seed: is given 2 times (lines 3, 4); keep one.")]
    [InlineData("batch: { global: 0 }", "batch.global: must be at least 1, got 0; raise it.")]
    [InlineData("evaluation: { everySteps: 0 }", "evaluation.everySteps: must be at least 1, got 0; raise it.")]
    [InlineData("batch: { micro: 0 }", "batch.micro: must be at least 1, got 0; raise it.")]
    [InlineData("batch: { microTokens: 0 }", "batch.microTokens: must be at least 1, got 0; raise it.")]
    [InlineData("batch: { reduceEvery: epoch }", "batch.reduceEvery: must be step or micro, got epoch; write step.")]
    [InlineData("batch: { gradientType: fp8 }", "batch.gradientType: must be fp32, bf16 or fp16, got fp8; write fp32.")]
    [InlineData("batch: { gradientType: bf16 }\ncluster: { collective: nccl }",
        "batch.gradientType: gradients travel in 16 bits over tcp alone, got bf16 with cluster.collective: nccl; write fp32, or "
        + "cluster.collective: tcp.")]
    [InlineData("batch: { global: 3 }\ncluster: { maxRanks: 4 }",
        "batch.global: must give each of cluster.maxRanks = 4 ranks a sample, got 3; raise it or lower cluster.maxRanks.")]
    [InlineData("cluster: { minRanks: 3, maxRanks: 2 }", "cluster.maxRanks: must be at least cluster.minRanks = 3, got 2; raise it.")]
    [InlineData("cluster: { device: tpu }", "cluster.device: must be auto, cpu or cuda, got tpu; did you mean cpu?")]
    [InlineData("precision: fp4", "precision: must be auto, fp32, bf16 or fp16, got fp4; write auto.")]
    [InlineData("precision: fp8", "precision: 8 bits are for some products alone, got fp8; write precision: bf16 and fp8: true.")]
    [InlineData("fp8: true", "fp8: 8-bit products do not go with precision: fp32, got true; write precision: bf16, or fp8: false.")]
    [InlineData("fp8: true\nprecision: bf16\nmethod: { kind: qlora }",
        "fp8: 8-bit products do not go with 4-bit weights (method.kind: qlora), got true; write method.kind: lora, or fp8: false.")]
    [InlineData("fp8: true\nprecision: auto\nmethod: { kind: lora, dropout: 0.1 }",
        "fp8: 8-bit products do not go with method.dropout, got true; write method.dropout: 0, or fp8: false.")]
    [InlineData("fp8: true\nprecision: bf16\nmethod: { kind: lora, dora: true }",
        "fp8: 8-bit products do not go with method.dora, got true; write method.dora: false, or fp8: false.")]
    [InlineData("fp8: true\nprecision: bf16\nattention: eager",
        "fp8: 8-bit products do not go with attention: eager, got true; write attention: auto, or fp8: false.")]
    [InlineData("fp8: true\nprecision: bf16\ncluster: { device: cpu }",
        "fp8: 8-bit products do not go with cluster.device: cpu, got true; write cluster.device: cuda, or fp8: false.")]
    [InlineData("attention: fast", "attention: must be auto, flash or eager, got fast; write auto.")]
    [InlineData("precision: fp16\nattention: flash",
        "attention: flash attention overflows in fp16 (the recipe's known issue), got flash with precision fp16; "
        + "write auto, or precision: bf16.")]
    [InlineData("activationCheckpointing: some", "activationCheckpointing: must be auto, none, selective or full, got some; write auto.")]
    [InlineData("method: { dropout: 1 }", "method.dropout: must be from 0 to below 1, got 1; common values are 0 to 0.1.")]
    [InlineData("method: { targets: [] }",
        "method.targets: must name at least one linear layer, got an empty name or list; write for example [qkv_proj], or null.")]
    [InlineData("method: { targets: qkv_proj }",
        "method.targets: must be a list of names (line 3), got qkv_proj; write it as [qkv_proj, o_proj].")]
    [InlineData("optimizer: { learningRates: { projector: 0 } }", "optimizer.learningRates.projector: must be above 0, got 0; raise it.")]
    [InlineData("optimizer: { onNonFinite: ignore }", "optimizer.onNonFinite: must be stop or skip, got ignore; write stop.")]
    [InlineData("optimizer: { maxSkippedSteps: -1 }", "optimizer.maxSkippedSteps: must be at least 0, got -1; raise it.")]
    [InlineData("checkpoint: { everySteps: -1 }", "checkpoint.everySteps: must be at least 0, got -1; raise it.")]
    [InlineData("failure: { orphanSeconds: 0 }", "failure.orphanSeconds: must be at least 1, got 0; raise it.")]
    [InlineData("failure: { shortSeconds: -1 }", "failure.shortSeconds: must be at least 0, got -1; raise it.")]
    [InlineData("failure: { diskSeconds: -1 }", "failure.diskSeconds: must be at least 0, got -1; raise it.")]
    [InlineData("cluster: { state: halved }", "cluster.state: must be auto, replicated or sharded, got halved; write auto.")]
    [InlineData("checkpoint: { every: 10 }", "checkpoint.every: unknown key (line 3); use one of everySteps, keep.")]
    [InlineData("optimizer: { learningRate: 0 }", "optimizer.learningRate: must be above 0, got 0; raise it.")]
    [InlineData("optimizer: { learningRate: 1.0e+30 }", "optimizer.learningRate: must be at most 1e18, or the squares of weights overflow "
        + "float32 after a step, got 1E+30; common values are 1e-5 to 1e-3.")]
    [InlineData("optimizer: { betas: [0.9, 1] }",
        "optimizer.betas: must be two numbers from 0 to below 1, got [0.9, 1]; write for example [0.9, 0.95].")]
    [InlineData("optimizer: { loss: mean }", "optimizer.loss: must be sample or token, got mean; write sample.")]
    [InlineData("maxSteps: 0", "maxSteps: must be at least 1, got 0; raise it.")]
    [InlineData("method: { kind: lroa }",
        "method.kind: unknown, got lroa; did you mean lora?")]
    [InlineData("optimizer: { schedule: cosin }",
        "optimizer.schedule: unknown, got cosin; did you mean cosine?")]
    [InlineData("evaluation: { metric: bleu }", "evaluation.metric: unknown, got bleu; choose one of accuracy, anls, loss.")]
    [InlineData(
        "cluster: { collective: mpi }", "cluster.collective: unknown, got mpi; choose one of auto, loopback, nccl, nccl-or-tcp, tcp.")]
    [InlineData("precision: fp23", "precision: must be auto, fp32, bf16 or fp16, got fp23; did you mean fp32?")]
    [InlineData("output: ''", "output: is required, got nothing; give the folder that receives the results.")]
    [InlineData("output:", "output: must be text (line 3), got nothing; write text.")]
    public void One_mistake_gives_exactly_one_problem(string yaml, string problem) =>
        Assert.Equal([problem], RunSpecYaml.Read(Good + yaml, []).Problems);

    [Fact]
    public void A_cache_for_features_is_one_of_four() =>
        Assert.Equal(["data.cacheFeatures: must be auto, memory, disk or none, got ram; write auto."],
            RunSpecYaml.Read(Good, ["data.cacheFeatures=ram"]).Problems);

    [Theory]
    [InlineData("data.evalSplit=last", "data.evalSplit: must be first or random, got last; write first.")]
    [InlineData("data.evalRows=-1", "data.evalRows: must be at least 0, got -1; raise it.")]
    [InlineData("data.onBadSample=ignore", "data.onBadSample: must be fail or skip, got ignore; write fail.")]
    [InlineData("data.workers=0", "data.workers: must be at least 1, got 0; raise it.")]
    [InlineData("data.workers=100000", "data.workers: must be at most 64 threads of each rank, got 100000; lower it, or write auto.")]
    [InlineData("data.evalKind=docvqa",
        "data.evalKind: is the form of other files than data.train's, got docvqa without such; name them in data.eval, or leave it out.")]
    [InlineData("model.numCrops=100000", "model.numCrops: must be at most 900, got 100000; common values are 4 and 16.")]
    [InlineData("data.exifRotate=6", "data.exifRotate: must be true or false, got 6; write true or false.")]
    public void One_mistake_about_the_data_gives_exactly_one_problem(string set, string problem) =>
        Assert.Equal([problem], RunSpecYaml.Read(Good, [set]).Problems);

    [Theory]
    [InlineData("../escape")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("")]
    public void A_name_that_is_no_folder_name_is_refused(string name) =>
        Assert.StartsWith("name: must be", Assert.Single(RunSpecYaml.Read($"{Good}name: '{name}'", []).Problems));

    [Fact]
    public void All_problems_come_at_once_wrong_types_unknown_keys_and_impossible_values()
    {
        var error = Assert.Throws<InputException>(() => RunSpecYaml.Parse(
            """
            modle: { path: /m }
            data: { train: /d, trian: /e, kind: conversation }
            epochs: lots
            batch: { global: -1, micro: auto }
            optimizer: { learningRate: -1, betas: [2] }
            method: { kind: lroa }
            """, ["seed=x", "cluster.minRank=2"]));

        Assert.Equal(
            ["modle", "data.trian", "epochs", "seed", "cluster.minRank", "model.path", "batch.global", "optimizer.learningRate",
                "optimizer.betas", "method.kind", "data.kind"],
            error.Problems.Select(p => p[..p.IndexOf(':')]));
    }

    [Theory]
    [InlineData("model:\n  path: /m\n bad: 1\n", 3)]
    [InlineData("seed: 1\nmodel: { path: /m\nepochs: 2\n", 2)]
    [InlineData("data:\n  train: *.jsonl\n", 2)]
    [InlineData("a: 1\n---\nb: 2\n", 2)]
    [InlineData("a: *nothing\n", 1)]
    public void Broken_YAML_names_the_line(string yaml, int line)
    {
        var error = Assert.Throws<InputException>(() => RunSpecYaml.Parse(yaml, [], "run.yaml"));

        Assert.StartsWith($"run.yaml:{line}: not YAML, got ", Assert.Single(error.Problems));
    }

    [Fact]
    public void Hostile_nesting_is_refused_and_not_followed() =>
        Assert.Contains("nesting deeper than", Assert.Throws<InputException>(() => RunSpecYaml.Parse(new string('[', 5000), [])).Message);

    [Theory]
    [InlineData("")]
    [InlineData("# nothing but a comment\n")]
    public void An_empty_spec_misses_what_is_required(string yaml) =>
        Assert.Equal(["model.path", "data.train"], RunSpecYaml.Read(yaml, []).Problems.Select(p => p[..p.IndexOf(':')]));

    [Theory]
    [InlineData("- a\n- b\n", "a list")]
    [InlineData("just words\n", "just words")]
    public void What_has_no_keys_is_told_that_alone(string yaml, string got) =>
        Assert.StartsWith($"spec: must hold keys (line 1), got {got}; use name, ", Assert.Single(RunSpecYaml.Read(yaml, []).Problems));

    [Fact]
    public void A_file_that_is_not_there_is_named()
    {
        var error = Assert.Throws<InputException>(() => RunSpecYaml.Load("/no/such/run.yaml", []));

        Assert.StartsWith("/no/such/run.yaml: the spec cannot be read", error.Message);
    }
}
