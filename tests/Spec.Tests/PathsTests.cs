using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Spec.Tests;

/// <summary>Paths that people give, and folders that commands make.</summary>
public sealed class PathsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-spec-").FullName;

    private static string Home { get; } =
        Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_tilde_is_the_home_folder_in_every_key_that_is_a_path()
    {
        var spec = RunSpecYaml.Read("""
            model: { path: ~/m }
            method: { adapter: ~/a }
            data: { train: "~/t/*.jsonl", eval: ~/e.jsonl }
            output: ~/out
            """, ["data.imageRoot=~/i"]).Spec;

        string?[] paths = [spec.Model.Path, spec.Method.Adapter, spec.Data.Train, spec.Data.Eval, spec.Data.ImageRoot, spec.Output];
        Assert.Equal(((string[])["m", "a", "t/*.jsonl", "e.jsonl", "i", "out"]).Select(name => $"{Home}/{name}"), paths);
    }

    [Theory]
    [InlineData("~", "")]
    [InlineData("~/x y", "/x y")]
    public void A_tilde_is_the_home_folder(string given, string below) => Assert.Equal(Home + below, UserPath.Expand(given));

    [Theory]
    [InlineData("a/~/b")]
    [InlineData("~x")]
    [InlineData("x~")]
    [InlineData("")]
    public void Other_tildes_are_letters(string given) => Assert.Equal(given, UserPath.Expand(given));

    [Theory]
    [InlineData("microsoft/Phi-3.5-vision-instruct", "microsoft/Phi-3.5-vision-instruct --to models/Phi-3.5-vision-instruct")]
    [InlineData("https://huggingface.co/microsoft/Phi-3-vision-128k-instruct", "microsoft/Phi-3-vision-128k-instruct --to")]
    public void A_hub_name_in_place_of_a_folder_gets_the_command_that_fetches_it(string given, string fetched)
    {
        var command = $"phi3v download model {fetched}";
        var job = new GenerateJob { Model = UserPath.Absolute(given), Prompt = "?" };
        Assert.Contains(command, GivenFolder.ModelProblem(given));
        Assert.Contains(command, Assert.Single(ModelJobValidation.FileProblems(job)));
        Assert.Contains(command, RunSpecFiles.Problems(new RunSpec { Model = new() { Path = given }, Output = _folder })[0]);
    }

    [Theory]
    [InlineData("models/phi-3-vision")]
    [InlineData("./microsoft/Phi-3.5-vision-instruct")]
    [InlineData("/microsoft/Phi-3.5-vision-instruct")]
    [InlineData("microsoft")]
    [InlineData("a/b/c")]
    public void A_path_that_is_no_hub_name_is_a_folder_that_is_not_there(string given) => Assert.Equal(
        $"no such folder, got {given}; give a checkpoint folder with config.json and *.safetensors.", GivenFolder.ModelProblem(given));

    [Fact]
    public void The_hubs_cache_folder_gets_the_snapshot_that_is_meant()
    {
        Touch("hub/snapshots/abc/config.json", "{}");
        Touch("hub/snapshots/def/config.json", "{}");
        Touch("hub/refs/main", "def");

        Assert.Contains($"give {At("hub/snapshots/def")}.", GivenFolder.ModelProblem(At("hub")));
    }

    [Fact]
    public void What_a_folder_is_instead_is_said()
    {
        Touch("run/adapter/adapter_config.json", "{}");
        Touch("deep/er/config.json", "{}");
        Touch("trainer/checkpoint-5/adapter_config.json", "{}");

        Assert.Contains("is the folder of an adapter", GivenFolder.ModelProblem(At("run/adapter")));
        Assert.Contains("is the folder of a run that made an adapter", GivenFolder.ModelProblem(At("run")));
        Assert.Contains($"give {At("deep/er")}.", GivenFolder.ModelProblem(At("deep")));
        Assert.Contains("is a file", GivenFolder.ModelProblem(At("deep/er/config.json")));
        Assert.Contains("is the folder of a whole model", GivenFolder.AdapterProblem(At("deep/er")));
        Assert.Contains($"give {At("trainer/checkpoint-5")}.", GivenFolder.AdapterProblem(At("trainer")));
        Assert.Null(GivenFolder.ModelProblem(At("deep/er")));
        Assert.Null(GivenFolder.AdapterProblem(At("run/adapter")));
    }

    [Fact]
    public void A_runs_folder_means_what_the_run_made()
    {
        Touch("run/adapter/adapter_config.json", "{}");
        Touch("full/model/config.json", "{}");
        var spec = TrainedFolders.Resolve(new RunSpec { Model = new() { Path = At("full") }, Method = new() { Adapter = At("run") } });
        var job = TrainedFolders.Resolve(new MergeJob { Model = At("full/model"), Adapter = At("run/adapter") });

        Assert.Equal((At("full/model"), At("run/adapter")), (spec.Model.Path, spec.Method.Adapter));
        Assert.Equal((At("full/model"), At("run/adapter")), (job.Model, job.Adapter));
    }

    [Fact]
    public void Samples_that_are_a_folder_or_an_address_get_what_to_give()
    {
        Touch("data/a.parquet", "");

        Assert.Contains($"is a folder, got {At("data")}; give its files, for example {At("data/*.parquet")}.",
            GivenFolder.SamplesProblem(At("data")));
        Touch("pictures/1.png", "");
        Assert.Contains("and no file in it ends with .jsonl, .json, .parquet", GivenFolder.SamplesProblem(At("pictures")));
        Assert.Contains("is a web address, got https://example.org/t.jsonl", GivenFolder.SamplesProblem("https://example.org/t.jsonl"));
        Assert.Contains("is a web address, got http://example.invalid/a.png",
            GivenFolder.ImageProblem(UserPath.Absolute("http://example.invalid/a.png")));
        Assert.Contains("is a folder", GivenFolder.ImageProblem(At("data")));
    }

    [Fact]
    public void A_long_list_of_problems_is_cut_at_eight_lines()
    {
        string[] all = [.. Enumerable.Range(0, 30).Select(i => $"problem {i}")];

        Assert.Equal([.. all.Take(7), "x: and 23 more like these."], ProblemList.Short(all, "x"));
        Assert.Equal(all.Take(8), ProblemList.Short(all[..8], "x"));
    }

    [Fact]
    public void A_new_folder_appears_whole_and_without_its_lock()
    {
        Assert.Empty(AtomicFolder.Fill(At("made"), folder => File.WriteAllText(Path.Combine(folder, "a"), "")));

        Assert.Equal([At("made/a")], Directory.EnumerateFileSystemEntries(At("made")));
        Assert.Equal([At("made")], Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public void What_a_failure_has_written_is_gone_and_what_a_killed_process_left_is_removed_and_named()
    {
        Touch("made.partial-1/.being-written", "");
        Touch("made.partial-1/weights", new string('x', 1_500_000));

        Assert.Throws<InvalidOperationException>(() => AtomicFolder.Fill(At("made"), _ => throw new InvalidOperationException()));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));

        Touch("made.partial-1/.being-written", "");
        Assert.Contains("made.partial-1: was left by a command that was killed", Assert.Single(AtomicFolder.Fill(At("made"), _ => { })));
    }

    [Fact]
    public void A_folder_that_another_is_filling_is_left_alone()
    {
        AtomicFolder.Fill(At("made"), first =>
        {
            File.WriteAllText(Path.Combine(first, "a"), "");
            Assert.Empty(AtomicFolder.Fill(At("made"), _ => Assert.True(File.Exists(Path.Combine(first, "a")))));
            Directory.Delete(At("made")); // the second was quicker; the first may now appear
        });

        Assert.True(File.Exists(At("made/a")));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private void Touch(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(name))!);
        File.WriteAllText(At(name), text);
    }
}
