using Phi3VCluster.Samples;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Checkpoints;
using Phi3VCluster.Training.Engine.Jobs;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Engine.Jobs;

public sealed class ModelJobsTests : IDisposable
{
    private const string Adapted = "model.layers.0.self_attn.o_proj";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-jobs").FullName;
    private readonly QuickstartFiles _files;

    public ModelJobsTests() => _files = QuickstartFiles.Create(
        At("sample"), seed: 3, new SampleSizes(TrainPages: 2, EvalPages: 3, TinySizes.Smallest));

    private string Page => Directory.EnumerateFiles(_folder, "page-*.png", SearchOption.AllDirectories).Order().First();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_users_text_becomes_the_templated_prompt_with_tags()
    {
        var job = Question() with { Images = [Page, Page], MaxNewTokens = 4, IgnoreEndOfText = true };
        var raw = job with { IsRaw = true, Prompt = "<|user|>\n<|image_1|><|image_2|>\nWhich?<|end|>\n<|assistant|>\n" };

        var (asked, same) = (JobRun.Generate(job), JobRun.Generate(raw));

        Assert.Equal(4, asked.Tokens.Count);
        Assert.Equal(4, asked.LogProbabilities.Count);
        Assert.Equal(asked.Tokens, same.Tokens);
        // To the bit only with as many threads, and tests beside this one change how many a new thread of libtorch's has.
        Assert.All(asked.LogProbabilities.Zip(same.LogProbabilities), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        Assert.Equal(asked.PromptTokens, same.PromptTokens);
        Assert.Equal(2, asked.ImageTokens.Count);
        Assert.True(asked.PromptTokens > asked.ImageTokens.Sum(), $"{asked}");
    }

    [Fact]
    public void Crops_are_the_checkpoints_unless_given()
    {
        var preset = JobRun.Generate(Question() with { Images = [Page], MaxNewTokens = 1 }).ImageTokens; // the sample says 1
        Assert.Equal(preset, JobRun.Generate(Question() with { Images = [Page], MaxNewTokens = 1, NumCrops = 1 }).ImageTokens);

        File.Delete(Path.Combine(_files.Checkpoint, "preprocessor_config.json"));
        Assert.Equal(
            JobRun.Generate(Question() with { Images = [Page], MaxNewTokens = 1, NumCrops = 16 }).ImageTokens,
            JobRun.Generate(Question() with { Images = [Page], MaxNewTokens = 1 }).ImageTokens);
    }

    [Fact]
    public void Only_what_is_asked_for_is_measured()
    {
        var job = Questions();
        var all = JobRun.Evaluate(job with { Metrics = ["loss", "accuracy", "anls"] });
        var loss = JobRun.Evaluate(job with { Metrics = ["loss"] });
        var anls = JobRun.Evaluate(job with { Metrics = ["anls"] });

        Assert.Equal(["accuracy", "anls", "loss"], all.Values.Keys.Order());
        Assert.Equal(["loss"], loss.Values.Keys);
        Assert.Equal(["eval-0000", "eval-0001", "eval-0002"], all.Samples.Select(row => row.Id));
        Assert.Equal(all.Samples.Average(row => row.Loss!.Value), all.Values["loss"], 1e-12);
        Assert.Equal(all.Samples.Average(row => row.Score!.Value), all.Values["accuracy"], 1e-12); // the first that needs a prediction
        Assert.All(loss.Samples, row => Assert.Equal((null, null), (row.Prediction, row.Score)));
        Assert.All(anls.Samples, row => Assert.Null(row.Loss));
        Assert.Equal(all.Samples.Select(row => row.Prediction), anls.Samples.Select(row => row.Prediction));
    }

    [Fact]
    public void An_adapter_changes_the_loss_and_one_of_zeros_does_not()
    {
        var job = Questions() with { Metrics = ["loss"] };
        var plain = JobRun.Evaluate(job).Values["loss"];

        var same = JobRun.Evaluate(job with { Adapter = Adapter("zero", Adapted, inputs: 16, outputs: 16, value: 0) }).Values["loss"];
        Assert.Equal(plain, same, 1e-9);
        var adapted = JobRun.Evaluate(job with { Adapter = Adapter("ones", Adapted, inputs: 16, outputs: 16, value: 1) }).Values["loss"];
        Assert.True(Math.Abs(plain - adapted) > 1e-4, $"{plain} and {adapted}");
    }

    [Fact]
    public void A_DoRA_adapter_gives_every_row_its_magnitude()
    {
        var job = Questions() with { Metrics = ["loss"] };
        var plain = JobRun.Evaluate(job).Values["loss"];

        Assert.Equal(plain, Loss("same", magnitudes: 1), 1e-5);
        Assert.True(Math.Abs(plain - Loss("longer", magnitudes: 1.5)) > 1e-3);

        double Loss(string name, double magnitudes)
        {
            new RandomAdapter(4, Dora: true, Vision: true).Save(At(name), _files.Checkpoint, (tensor, values) =>
            {
                if (tensor.EndsWith("lora_B.weight", StringComparison.Ordinal)) values.zero_();
                if (!tensor.EndsWith("lora_magnitude_vector", StringComparison.Ordinal)) return;
                using var checkpoint = CheckpointFolder.Open(_files.Checkpoint);
                var weight = checkpoint.View(tensor.Replace("lora_magnitude_vector", "weight", StringComparison.Ordinal));
                values.copy_(weight.norm(1) * magnitudes);
            });
            return JobRun.Evaluate(job with { Adapter = At(name) }).Values["loss"];
        }
    }

    [Fact]
    public void An_adapter_of_another_model_is_refused_with_the_reason()
    {
        Assert.Contains($"{Adapted} must be [16, 16], got [24, 16]",
            JobRun.Refused(Question() with { Adapter = Adapter("wide", Adapted, inputs: 16, outputs: 24, value: 1) }));
        const string absent = "model.layers.7.self_attn.o_proj";
        Assert.Contains($"there is no linear layer {absent}",
            JobRun.Refused(Question() with { Adapter = Adapter("deep", absent, inputs: 16, outputs: 16, value: 1) }));
        Assert.Contains("there is no linear layer model.embed_tokens",
            JobRun.Refused(Question() with { Adapter = Adapter("table", "model.embed_tokens", inputs: 16, outputs: 16, value: 1) }));
    }

    [Fact]
    public void All_that_is_missing_is_said_at_once()
    {
        var job = new GenerateJob
        {
            Model = At("no-model"),
            Adapter = At("no-adapter"),
            Images = [At("no.png")],
            NumCrops = 0,
            MaxNewTokens = 0,
        };

        var problems = JobRun.Refused(job);

        Assert.Equal(["--num-crops", "--max-new-tokens", "--prompt", "--model", "--adapter", "--image"],
            problems.Split('\n').Select(p => p.Split(':')[0]));
    }

    [Fact]
    public void Tags_that_do_not_match_the_images_are_refused()
    {
        Assert.Contains("do not match the 1 image(s), got none", JobRun.Refused(Question() with { IsRaw = true, Images = [Page] }));
        Assert.Contains("do not match the 0 image(s), got <|image_1|>", JobRun.Refused(Question() with { Prompt = "<|image_1|> What?" }));
    }

    [Fact]
    public void A_corrupt_image_is_named()
    {
        File.WriteAllBytes(At("bad.png"), [1, 2, 3]);
        Assert.Contains($"{At("bad.png")}: not an image", JobRun.Refused(Question() with { Images = [At("bad.png")] }));
    }

    [Fact]
    public void A_prompt_beyond_the_context_is_refused_and_so_is_an_answer()
    {
        var config = Path.Combine(_files.Checkpoint, "config.json");
        var text = File.ReadAllText(config);
        File.WriteAllText(config, text.Replace("\"max_position_embeddings\": 131072", "\"max_position_embeddings\": 40"));

        Assert.Contains("do not fit the model's context of 40",
            JobRun.Refused(Question() with { Prompt = new string('x', 100), MaxNewTokens = 1 }));
        Assert.Contains("--max-new-tokens: the model's context is 40 tokens", JobRun.Refused(Question() with { MaxNewTokens = 39 }));
    }

    [Fact]
    public void A_pickle_is_never_opened()
    {
        File.Delete(Path.Combine(_files.Checkpoint, "model.safetensors"));
        File.WriteAllText(Path.Combine(_files.Checkpoint, "pytorch_model.bin"), "");
        Assert.Contains("is a pickle file", JobRun.Refused(Question()));
    }

    [Fact]
    public void Unknown_names_are_refused_with_those_there_are()
    {
        var problems = JobRun.Refused(Questions() with { DataKind = "docs", Metrics = ["loss", "bleu"] });

        Assert.Contains("--metrics: unknown, got bleu; choose one of loss, accuracy, anls.", problems);
        Assert.Contains("--data: unknown kind, got docs; "
            + "choose one of cauldron-docvqa, conversations, docvqa, hateful-memes, llava, messages, nlvr2.", problems);
    }

    [Fact]
    public void Bad_rows_are_found_before_anything_is_computed()
    {
        File.WriteAllText(At("bad.jsonl"), "{}\nno json\n");

        var problems = JobRun.Refused(Questions() with { Data = At("bad.jsonl") }).Split('\n');

        Assert.Equal(3, problems.Length);
        Assert.Contains("bad.jsonl:1: ", problems[0]);
        Assert.Contains("bad.jsonl:2: ", problems[1]);
        Assert.Contains("2 of 2 rows are bad", problems[2]);
    }

    [Fact]
    public void A_cancelled_job_ends_and_a_forgotten_one_is_unknown()
    {
        using var jobs = new ModelJobs();
        jobs.Start("long", Question() with { MaxNewTokens = 100_000, IgnoreEndOfText = true });
        jobs.Start("long", Questions()); // said twice: does nothing

        jobs.Cancel("long");
        Assert.Equal(JobState.Cancelled, JobRun.Ended(jobs, "long").State);
        jobs.Forget("long");
        Assert.Null(jobs.Find("long"));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private GenerateJob Question() => new() { Model = _files.Checkpoint, Prompt = "Which?" };

    private EvaluateJob Questions() => new()
    {
        Model = _files.Checkpoint,
        DataKind = "conversations",
        Data = _files.Eval,
        Metrics = ["loss"],
        MaxNewTokens = 3,
    };

    private string Adapter(string name, string module, int inputs, int outputs, float value)
    {
        using var scope = NewDisposeScope();
        PeftAdapter.Save(At(name), new(2, 4) { BaseModel = _files.Checkpoint },
            [($"{module}.lora_A.weight", full([2, inputs], value)), ($"{module}.lora_B.weight", full([outputs, 2], value))]);
        return At(name);
    }
}
